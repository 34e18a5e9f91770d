"""The `wakeword` command: find wake phrases in recordings, and say what a model is."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile

from wakeword.runtime.detector import Detection, Detector
from wakeword.runtime.resample import Resampler
from wakeword.runtime.scorer import Scorer

_MODEL = Path("models/wakeword.onnx")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, or 1 if anything could not be done, or 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (OSError, ValueError) as problem:
        return _complain(problem)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wakeword", description="Find wake phrases in audio.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    detect = commands.add_parser("detect", help="list the wake phrases in recordings")
    detect.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="audio of any sample rate and channel count"
    )
    detect.add_argument("--model", type=Path, default=_MODEL, help=f"exported model (default: {_MODEL})")
    detect.add_argument("--json", action="store_true", help="print one JSON object a detection")
    detect.add_argument("--threshold", type=float, help="use this instead of the model's own threshold")
    detect.set_defaults(run=_detect)
    info = commands.add_parser("info", help="say what a model is and how good it was measured to be")
    info.add_argument("model", nargs="?", type=Path, default=_MODEL, metavar="MODEL", help=f"(default: {_MODEL})")
    info.set_defaults(run=_info)
    return parser


def _detect(options: argparse.Namespace) -> int:
    detector = Detector(options.model, threshold=options.threshold)
    failed = False
    for path in options.files:
        try:
            for found in _detections(detector, path):
                _print(path, found, as_json=options.json)
        except BrokenPipeError:
            # Whoever read our output has gone; Python would complain once more while flushing at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except (OSError, ValueError, soundfile.LibsndfileError) as problem:
            failed = bool(_complain(problem))
    return int(failed)


def _print(path: Path, found: Detection, as_json: bool) -> None:
    if as_json:
        values = {
            "file": str(path),
            "phrase": found.phrase,
            "time_s": round(found.time_s, 3),
            "score": round(found.score, 4),
        }
        print(json.dumps(values, ensure_ascii=False), flush=True)
    else:
        print(f"{path}  {found.time_s:.2f} s  {found.phrase}  {found.score:.3f}", flush=True)


def _detections(detector: Detector, path: Path) -> Iterator[Detection]:
    detector.reset()
    for chunk in read_audio(path):
        yield from detector.process(chunk)


def read_audio(path: Path) -> Iterator[np.ndarray]:
    """Yield a recording as 16 kHz mono float32 chunks of about a second; channels are averaged.

    Raises:
        ValueError: the file is missing, or not audio that libsndfile can read; the message names it.
    """
    if not path.is_file():
        raise ValueError(f"{path} is {'a folder' if path.exists() else 'missing'}; name an audio file")
    try:
        with soundfile.SoundFile(path) as file:
            resampler = Resampler(file.samplerate)
            for block in file.blocks(blocksize=file.samplerate, dtype="float32", always_2d=True):
                # A single bad sample must not spread through the filter.
                finite = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
                yield resampler.process(finite.mean(axis=1, dtype=np.float32))
            yield resampler.finish()
    except soundfile.LibsndfileError as failure:
        raise ValueError(f"{path} cannot be read as audio: {failure.error_string}") from failure
    except ValueError as failure:
        raise ValueError(f"{path}: {failure}") from failure


def _info(options: argparse.Namespace) -> int:
    info = Scorer(options.model).info
    described = {key: value for key, value in vars(info).items() if key != "policies"}
    described["policies"] = {phrase: asdict(policy) for phrase, policy in info.policies.items()}
    print(json.dumps(described, indent=2, ensure_ascii=False))
    return 0


def _complain(problem: Exception) -> int:
    print(f"wakeword: {problem}", file=sys.stderr)
    return 1
