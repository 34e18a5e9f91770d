"""How fast the parts are that have a figure to reach: `python -m benchmarks.speed`.

Medians, on an otherwise idle machine.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from wakeword import workers
from wakeword.corpus.manifest import Clip, Origin, read_manifest, write_manifest
from wakeword.detection.policy import Policy, PolicyState, detect
from wakeword.evaluation.metrics import Keyword, ScoredStream, det_curve
from wakeword.sources.synthesis import speak
from wakeword.sources.synthesis_config import SynthesisConfig
from wakeword.sources.typed_phrase import utterances
from wakeword.splitting.config import SplitConfig
from wakeword.splitting.deal import split

RESULT = Path(__file__).resolve().parent / "results" / "speed.json"
FRAME_SHIFT_MS = 20
POLICY = Policy(0.4, 0.3, smoothing_frames=10, votes=2, votes_window=3)


def seconds(run: Callable[[], object], times: int) -> float:
    """Return the median wall time of a call."""
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


def policy_10_h_s() -> float:
    scores = np.random.default_rng(0).random(1_800_000).astype(np.float32) ** 8
    return seconds(lambda: detect(scores, POLICY, FRAME_SHIFT_MS), 5)


def policy_chunk_us() -> float:
    state, chunk = PolicyState(POLICY, FRAME_SHIFT_MS), np.random.default_rng(0).random(4).astype(np.float32)
    return 1e6 * seconds(lambda: state.process(chunk), 5000)


def det_2_h_s() -> float:
    rng = np.random.default_rng(0)
    frames = 360_000
    logits = np.convolve(rng.normal(size=frames + 10), np.full(11, 0.3), "valid") * 2 - 7
    keywords = [Keyword(18.0 * index + 5.0, 18.0 * index + 6.0) for index in range(400)]
    for keyword in keywords:
        logits[round(keyword.start_s * 50) :][:50] += np.hanning(50) * rng.normal(11, 3)
    streams = [ScoredStream(1 / (1 + np.exp(-logits)), keywords, frames * 0.02)]
    return seconds(lambda: det_curve(streams, Policy(1.0, 0.8, 10), FRAME_SHIFT_MS), 3)


def split_100k_clips_s() -> float:
    origin = Origin("positive", "hey", "hey", "phrase", "", True, "s", "l", "en", "p")
    clips = []
    for index in range(100_000):
        label = replace(origin, label="negative", phrase=None) if index % 2 else origin
        clips.append(Clip(f"{index:032x}", replace(label, group=f"g{index // 10}"), 16_000, 0, 9, 0, 10 * index, 10))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_manifest(folder / "manifest.jsonl", clips)
        return seconds(
            lambda: split(
                read_manifest(folder / "manifest.jsonl"),
                SplitConfig(),
                ["hey"],
                1,
                folder / "splits",
                folder / "report",
            ),
            3,
        )


def synthesis_clips_per_s(count: int) -> float:
    spoken = utterances(SynthesisConfig(positives=600, negatives=0), ["hey computer"], "en", 1)
    return len(spoken) / seconds(lambda: list(workers.ordered_map(speak, spoken, count)), 3)


def main() -> None:
    result = {
        "cores": float(len(os.sched_getaffinity(0))),
        "policy_10_h_s": policy_10_h_s(),
        "policy_chunk_us": policy_chunk_us(),
        "det_2_h_s": det_2_h_s(),
        "split_100k_clips_s": split_100k_clips_s(),
        "synthesis_clips_per_s_1_worker": synthesis_clips_per_s(1),
        "synthesis_clips_per_s_2_workers": synthesis_clips_per_s(2),
    }
    rounded = {name: float(f"{value:.3g}") for name, value in result.items()}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(rounded, indent=2, sort_keys=True) + "\n")
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    main()
