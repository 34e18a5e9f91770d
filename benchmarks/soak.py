"""Days in minutes: stream hours of audio through a detector, faster than real time: `python -m benchmarks.soak HOURS`.

The audio is synthetic speech, the model's own phrases among it, in noise, and every ten minutes a piece of all that a
broken microphone or driver may send. It comes in chunks of 10 to 160 ms. Every ten minutes the same audio is scored as
a whole, by a scorer that never heard what came before; the streamed scores and detections must be those. The first hour
lets memory settle; from then on it must not grow.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wakeword import workers
from wakeword.corpus.manifest import Recording
from wakeword.detection.policy import PolicyState
from wakeword.runtime.detector import Detection, Detector
from wakeword.runtime.scorer import ModelInfo
from wakeword.sources.synthesis import speak
from wakeword.sources.synthesis_config import SynthesisConfig
from wakeword.sources.typed_phrase import utterances

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "soak.json"
RATE = 16_000
LAP_S = 600
LAPS_AN_HOUR = 3600 // LAP_S
MOST_DIFFERENCE = 1e-4
MOST_GROWTH_MIB = 4.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hours", type=float)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "wakeword.onnx")
    arguments = parser.parse_args()
    detector = Detector(arguments.model)
    clips = spoken(detector.info)
    result = soak(detector, clips, laps=math.ceil(arguments.hours * LAPS_AN_HOUR))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, sort_keys=True))
    if (
        result["largest_difference"] > MOST_DIFFERENCE
        or result["detections_that_differ"]
        or result["memory_growth_mib"] > MOST_GROWTH_MIB
    ):
        sys.exit("the detector drifts or grows: see above")


def spoken(info: ModelInfo) -> list[np.ndarray]:
    """Return the model's phrases and other texts as clips of float32."""
    config = SynthesisConfig(positives=40, negatives=120)
    texts = utterances(config, info.phrases, info.language, seed=1)
    made = workers.ordered_map(speak, texts, workers=1)
    return [one.pcm.astype(np.float32) / 32768 for one in made if isinstance(one, Recording)]


@dataclass
class Tally:
    """What was seen so far."""

    chunks: int = 0
    cpu_s: float = 0.0
    differences: list[float] = field(default_factory=list)
    streamed: list[tuple[str, float]] = field(default_factory=list)
    whole: list[tuple[str, float]] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)


def soak(detector: Detector, clips: list[np.ndarray], laps: int, seed: int = 0) -> dict[str, object]:
    """Stream so many laps of ten minutes and return what was seen."""
    tally = Tally()
    states = [PolicyState(detector.info.policies[phrase], detector.info.frame_shift_ms) for phrase in detector.phrases]
    before = np.zeros(_lead(detector.info), dtype=np.float32)
    for lap in range(laps):
        rng = np.random.default_rng([seed, lap])
        audio = sound(clips, rng)
        # Whole-file scores of this lap, from a scorer that heard just enough of the last one.
        whole = detector.scores(np.concatenate([before, audio]))[len(before) // detector.info.hop_samples :]
        tally.differences.append(stream(detector, audio, whole, rng, tally))
        for column, (phrase, state) in enumerate(zip(detector.phrases, states, strict=True)):
            tally.whole += [(phrase, event.time_s) for event in state.process(whole[:, column])]
        tally.memory_mib.append(resident_mib())
        before = audio[-len(before) :]
    return summary(tally, laps)


def _lead(info: ModelInfo) -> int:
    """Return a whole number of hops that is longer than the receptive field."""
    return (math.ceil(info.receptive_field_ms / info.frame_shift_ms) + 1) * info.hop_samples


def stream(detector: Detector, audio: np.ndarray, whole: np.ndarray, rng: np.random.Generator, tally: Tally) -> float:
    """Send a lap through the detector in chunks; return the largest difference between its scores and `whole`."""
    hop, largest = detector.info.hop_samples, 0.0
    found: list[Detection] = []
    for start, stop in cuts(len(audio), rng):
        started = time.process_time()
        found += detector.process(audio[start:stop])
        tally.cpu_s += time.process_time() - started
        tally.chunks += 1
        if stop // hop > start // hop:
            wanted = whole[start // hop : stop // hop].max(axis=0)
            difference = float(np.abs(detector.latest - wanted).max())
            largest = max(largest, difference if math.isfinite(difference) else math.inf)
    tally.streamed += [(one.phrase, one.time_s) for one in found]
    return largest


def cuts(samples: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield where chunks of 10 to 160 ms start and stop, in whole samples of any number."""
    start = 0
    while start < samples:
        stop = min(start + int(rng.integers(RATE // 100, RATE * 16 // 100)), samples)
        yield start, stop
        start = stop


def sound(clips: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return a lap of speech in noise, with one of each nasty thing in it, `(samples,)` float32."""
    audio = rng.standard_normal(LAP_S * RATE, dtype=np.float32) * np.float32(10 ** rng.uniform(-4, -2))
    at = 0
    while at < len(audio) - 5 * RATE:
        clip = clips[rng.integers(len(clips))][: 5 * RATE]
        audio[at : at + len(clip)] += clip * np.float32(10 ** rng.uniform(-1, 0.3))
        at += len(clip) + int(rng.integers(RATE // 4, 3 * RATE))
    for make in NASTY.values():
        length = int(rng.integers(RATE // 10, 3 * RATE))
        at = int(rng.integers(len(audio) - length))
        audio[at : at + length] = make(audio[at : at + length])
    return audio


NASTY = {
    "NaN": lambda x: np.full_like(x, np.nan),
    "some NaN": lambda x: np.where(np.arange(len(x)) % 7 == 0, np.nan, x),
    "infinity": lambda x: np.full_like(x, np.inf),
    "both infinities": lambda x: np.where(np.arange(len(x)) % 2 == 0, np.inf, -np.inf),
    "huge": lambda x: np.full_like(x, 3e38),
    "denormal": lambda x: np.full_like(x, 1e-42),
    "silence": np.zeros_like,
    "clipping": lambda x: x * 1000,
    "constant": lambda x: x + 0.5,
    "full constant": lambda x: np.full_like(x, -1.0),
    "full-scale square": lambda x: np.where(np.arange(len(x)) // 50 % 2 == 0, 1.0, -1.0),
}


def resident_mib() -> float:
    """Return the memory that this process holds now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def summary(tally: Tally, laps: int) -> dict[str, object]:
    """Return the figures that are kept."""
    settled = tally.memory_mib[min(LAPS_AN_HOUR, laps) - 1]
    hours = laps / LAPS_AN_HOUR
    hourly = tally.memory_mib[LAPS_AN_HOUR - 1 :: LAPS_AN_HOUR]
    return {
        "hours": hours,
        "chunks": tally.chunks,
        "cpu_s_per_s": float(f"{tally.cpu_s / (hours * 3600):.3g}"),
        "largest_difference": float(f"{max(tally.differences):.2g}"),
        "largest_difference_first_and_last_lap": [float(f"{tally.differences[lap]:.2g}") for lap in (0, -1)],
        "detections": len(tally.streamed),
        "detections_that_differ": len(set(tally.streamed) ^ set(tally.whole)),
        "memory_mib_each_hour": [round(mib, 1) for mib in hourly],
        "memory_growth_mib": round(max(tally.memory_mib) - settled, 1),
    }


if __name__ == "__main__":
    main()
