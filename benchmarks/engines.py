"""What each engine that is here gives.

    python -m benchmarks.engines [PHRASE] [--piper FOLDER/VOICE.onnx ...]

A Markdown row an engine: voices, clips a second with one worker and with two, rejected, and the active seconds of the
phrase. Then the same for espeak-ng with every voice changed.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from wakeword.base.errors import UserError
from wakeword.corpus.manifest import SAMPLE_RATE, Recording
from wakeword.sources.synthesis import speak
from wakeword.sources.synthesis_config import SynthesisConfig
from wakeword.sources.typed_phrase import utterances
from wakeword.workers import ordered_map

COUNT = 100
HEADER = """| engine | voices | clips/s, 1 worker | 2 workers | rejected | active s of the phrase: 5 %, median, 95 % |
| --- | --- | --- | --- | --- | --- |"""


def row(name: str, phrase: str, engines: dict[str, Any], root: Path, change: float = 0.0) -> str:
    """Return what one engine gave."""
    said = {"positives": COUNT, "negatives": 0, "engines": engines, "voice_change": {"share": change}}
    spoken = utterances(SynthesisConfig.model_validate(said), [phrase], "en", 1, 1, root)
    per_s = []
    for workers in (1, 2):
        started = time.perf_counter()
        results = list(ordered_map(speak, spoken, workers))
        per_s.append(f"{len(results) / (time.perf_counter() - started):.1f}")
    clips = [result for result in results if isinstance(result, Recording)]
    seconds = np.quantile([(clip.active[1] - clip.active[0]) / SAMPLE_RATE for clip in clips], [0.05, 0.5, 0.95])
    voices = len({clip.origin.group for clip in clips})
    told = ", ".join(f"{value:.2f}" for value in seconds)
    return f"| {name} | {voices} | {' | '.join(per_s)} | {len(results) - len(clips)} of {len(results)} | {told} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phrase", nargs="?", default="snowboy")
    parser.add_argument("--piper", nargs="*", type=Path, default=[], help="voices in ONNX, all in one folder")
    options = parser.parse_args()
    root = options.piper[0].parent if options.piper else Path()
    engines = "espeak", "flite", "festival", "rhvoice", "pico", "kokoro"
    sections: dict[str, dict[str, Any]] = {engine: {} for engine in engines}
    if options.piper:
        sections["piper"] = {"models": [path.name for path in options.piper]}
    print(HEADER)
    for name, section in sections.items():
        try:
            print(row(name, options.phrase, {"espeak": None, name: {"share": 1.0, **section}}, root), flush=True)
        except UserError as problem:
            print(f"| {name} | {problem} |", flush=True)
    print(row("espeak, voices changed", options.phrase, {}, root, change=1.0))


if __name__ == "__main__":
    main()
