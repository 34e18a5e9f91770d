"""The `wakeword` command: find wake phrases in recordings or a room, serve them to a house, say what a model is."""

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from wakeword.runtime import bench
from wakeword.runtime.detector import Detection, Detector
from wakeword.runtime.listen import listen
from wakeword.runtime.output import take_any_letter, to_json
from wakeword.runtime.recordings import read_audio
from wakeword.runtime.resample import SAMPLE_RATE
from wakeword.runtime.scorer import Scorer

_MODEL = Path("models/wakeword.onnx")
# As evaluation hears each clip: a phrase that ends with the file is told some time after, and never in part of a hop.
_SILENCE = np.zeros(SAMPLE_RATE // 2, dtype=np.float32)
_EXTRAS = {"microphone": "mic", "wyoming_server": "serve"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, or 1 if anything could not be done, or 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    take_any_letter()
    try:
        return int(options.run(options))
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
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
    _add_models(detect)
    detect.add_argument("--json", action="store_true", help="print one JSON object a detection")
    detect.set_defaults(run=_detect)
    hear = commands.add_parser("listen", help="listen to a microphone (needs the extra 'mic')")
    _add_models(hear)
    hear.add_argument("--device", metavar="NAME|INDEX", help="which microphone (default: the system's)")
    hear.add_argument("--list-devices", action="store_true", help="list the microphones and exit")
    hear.add_argument("--json", action="store_true", help="print one JSON object a detection")
    hear.set_defaults(run=_listen)
    serve = commands.add_parser("serve", help="be a Wyoming server, for Home Assistant (needs the extra 'serve')")
    _add_models(serve)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, this machine)")
    serve.add_argument("--port", type=int, default=10400, help="(default: %(default)s)")
    serve.add_argument("--clients", type=int, default=32, help="most clients at once (default: %(default)s)")
    serve.add_argument(
        "--idle-s", type=float, default=300.0, help="hang up on a client silent for so long (default: %(default)g)"
    )
    serve.set_defaults(run=_serve)
    measure = commands.add_parser("bench", help="measure what a model costs on this machine")
    measure.add_argument("--json", action="store_true", help="print one JSON object")
    measure.set_defaults(run=_bench)
    info = commands.add_parser("info", help="say what a model is and how good it was measured to be")
    info.set_defaults(run=_info)
    for command in (measure, info):
        command.add_argument(
            "model", nargs="?", type=Path, default=_MODEL, metavar="MODEL", help="(default: %(default)s)"
        )
    return parser


def _add_models(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        dest="models",
        action="append",
        type=Path,
        help=f"exported model; give it again for another at once (default: {_MODEL})",
    )
    command.add_argument("--threshold", type=float, help="use this instead of the model's own threshold")


def _detector(options: argparse.Namespace) -> Detector:
    return Detector(options.models or [_MODEL], threshold=options.threshold)


def _detect(options: argparse.Namespace) -> int:
    detector = _detector(options)
    several = len(detector.models) > 1
    failed = False
    for path in options.files:
        try:
            for found in _heard(detector, path):
                print(_told(path, found, several, as_json=options.json), flush=True)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as problem:
            failed = bool(_complain(problem))
    return int(failed)


def _heard(detector: Detector, path: Path) -> Iterator[Detection]:
    """Yield what is detected in a recording and in some silence after it, which counts as its end."""
    detector.reset()
    samples = 0
    for chunk in read_audio(path):
        samples += len(chunk)
        yield from detector.process(chunk)
    for found in detector.process(_SILENCE) if samples else []:
        yield replace(found, time_s=min(found.time_s, samples / SAMPLE_RATE))


def _told(path: Path, found: Detection, several: bool, as_json: bool) -> str:
    if not as_json:
        line = f"{path}  {found.time_s:.2f} s  {found.phrase}  {found.score:.3f}"
        return f"{line}  {found.model}" if several else line
    values: dict[str, Any] = {
        "file": str(path),
        "phrase": found.phrase,
        "time_s": round(found.time_s, 3),
        "score": round(found.score, 4),
    }
    if several:
        values["model"] = found.model
    return to_json(values)


def _listen(options: argparse.Namespace) -> int:
    microphone = _optional("microphone")
    if options.list_devices:
        print(microphone.devices())
        return 0
    detector = _detector(options)
    with microphone.opened(options.device) as (name, chunks):
        listen(detector, name, chunks, as_json=options.json)
    return 0


def _serve(options: argparse.Namespace) -> int:
    server = _optional("wyoming_server")
    detectors = [Detector(model, threshold=options.threshold) for model in options.models or [_MODEL]]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    limits = server.Limits(clients=options.clients, idle_s=options.idle_s)
    server.run(server.Service(detectors, limits), options.host, options.port)
    return 0


def _optional(module: str) -> ModuleType:
    """Import a module of ours whose packages are no part of the base install."""
    extra = _EXTRAS[module]
    try:
        return importlib.import_module(f"wakeword.runtime.{module}")
    except ModuleNotFoundError as missing:
        raise ValueError(f"the package {missing.name} is missing; pip install 'wakeword[{extra}]'") from missing


def _bench(options: argparse.Namespace) -> int:
    result = bench.measure(options.model)
    print(json.dumps(result, indent=2) if options.json else bench.table(result))
    return 0


def _info(options: argparse.Namespace) -> int:
    info = Scorer(options.model).info
    described = {key: value for key, value in vars(info).items() if key != "policies"}
    described["policies"] = {phrase: asdict(policy) for phrase, policy in info.policies.items()}
    print(to_json(described, indent=2))
    return 0


def _complain(problem: Exception) -> int:
    print(f"wakeword: {problem}", file=sys.stderr)
    return 1
