"""What it costs to examine hours of stream: `python -m benchmarks.evaluate_speed [HOURS...]`, by default 1 and 10.

Streams are made of synthetic speech, the model's own phrases among it, over noise, and written as featurize writes
them; a process of its own then runs `stages/evaluate.py --model` on them. Reported are its wall time, the CPU time of
it and its workers, and the peak of the memory that they hold at once (PSS). The clips that the stage scores beside the
streams are few here, and the same for any number of hours.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.measure import measure
from wakeword import workers
from wakeword.corpus.manifest import SAMPLE_RATE, Clip, Recording
from wakeword.corpus.shards import Corpus, ShardWriter
from wakeword.corpus.splits import write_splits
from wakeword.features.store import Segment, Stream, write
from wakeword.runtime.scorer import ModelInfo, Scorer
from wakeword.sources.synthesis import speak
from wakeword.sources.synthesis_config import SynthesisConfig
from wakeword.sources.typed_phrase import utterances

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "evaluate_speed.json"
STREAM_S = 3600.0
NOISE = 150.0  # RMS, of 32768


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hours", type=int, nargs="*", default=[1, 10])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "wakeword.onnx")
    arguments = parser.parse_args()
    model = arguments.model.resolve()
    os.environ["PYTHONPATH"] = str(ROOT / "src")  # of the stage, which runs in another folder
    result = {
        "runs": [cost(model, hours) for hours in arguments.hours],
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1),
    }
    RESULT.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, sort_keys=True))


def cost(model: Path, hours: int) -> dict[str, float]:
    """Make a project with so many hours of test streams, and return what examining the model on it costs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        info = Scorer(model).info
        clips = corpus(folder / "data/corpus", info)
        ids = [clip.id for clip in clips]
        write_splits(folder / "data/splits", {"train": [], "dev": ids, "test": ids})
        (folder / "data/npy").mkdir()
        for split, count in (("dev", 1), ("test", hours)):
            made = streams(Corpus.open(folder / "data/corpus"), split, count)
            write(folder / "data/npy", split, made, "none", 1, np.inf)
        (folder / "params.yaml").write_text(yaml.safe_dump({"phrases": list(info.phrases)}))
        command = [sys.executable, str(ROOT / "stages" / "evaluate.py"), "--model", str(model)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        status, spent = measure(command, folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status:
        sys.exit(f"evaluate.py ended with {status}; see above")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "hours": hours,
        "wall_s": spent["wall_s"],
        "cpu_s": round(cpu),
        "peak_memory_gib": spent["peak_memory_gib"],
    }


def corpus(folder: Path, info: ModelInfo) -> list[Clip]:
    """Write a corpus of synthetic speech, the phrases and other sentences, and return its clips."""
    config = SynthesisConfig(positives=40, negatives=120)
    texts = utterances(config, info.phrases, info.language, seed=1)
    folder.mkdir(parents=True)
    with ShardWriter(folder) as writer:
        for made in workers.ordered_map(speak, texts, workers=1):
            if isinstance(made, Recording):
                writer.add(made)
    return writer.clips


def streams(corpus: Corpus, split: str, count: int) -> Iterator[tuple[Stream, np.ndarray, np.ndarray]]:
    """Yield hours of clips one after another over noise; their features are left out, nobody reads them here."""
    phrases = sorted({clip.origin.phrase for clip in corpus.clips if clip.origin.phrase is not None})
    for number in range(count):
        rng = np.random.default_rng([number, len(split)])
        pcm = rng.standard_normal(int(STREAM_S * SAMPLE_RATE), dtype=np.float32) * NOISE
        segments, at = [], SAMPLE_RATE
        while at < len(pcm) - 10 * SAMPLE_RATE:
            clip = corpus.clips[int(rng.integers(len(corpus.clips)))]
            pcm[at : at + clip.samples] += corpus.audio(clip)
            segments.append(_segment(clip, at, phrases))
            at += clip.samples + int(rng.integers(SAMPLE_RATE // 2, 2 * SAMPLE_RATE))
        frames = len(pcm) // 160
        described = Stream(f"{split}-{number:03d}", "clean", 0, frames, segments)
        yield described, np.zeros((frames, 1), np.float16), np.clip(pcm, -32768, 32767).astype(np.int16)


def _segment(clip: Clip, at: int, phrases: Sequence[str]) -> Segment:
    start, end = ((at + edge) / SAMPLE_RATE for edge in (clip.active_start, clip.active_end))
    phrase = None if clip.origin.phrase is None else phrases.index(clip.origin.phrase)
    known: dict[str, Any] = {"label": clip.origin.label, "kind": clip.origin.kind, "group": clip.origin.group}
    return Segment(start, end, clip=clip.id, phrase=phrase, synthetic=clip.synthetic, **known)


if __name__ == "__main__":
    main()
