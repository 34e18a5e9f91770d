"""What microWakeWord and ESPHome want beside the TFLite file, and what their package makes of both."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pymicro_wakeword import MicroWakeWord

from wakeword.base.files import write_bytes
from wakeword.interchange.micro_frontend import NATS

FEATURE_STEP_MS = 10
_MINIMUM_ESPHOME = "2024.7.0"  # the first that reads version 2 of the manifest
_ARENA_BASE, _ARENA_FOR_OPERATOR = 16_384, 600


def manifest(
    phrase: str, language: str, model: str, threshold: float, smoothing_frames: int, arena: int
) -> dict[str, Any]:
    """Return version 2 of the manifest.

    Args:
        model: name of the TFLite file beside it.
        threshold: of the mean probability, see `cutoff`.
        smoothing_frames: how many probabilities are averaged.
        arena: bytes that the interpreter may use, see `arena_bytes`.
    """
    return {
        "type": "micro",
        "wake_word": phrase,
        "author": "wakeword",
        "website": "https://esphome.io/components/micro_wake_word",
        "model": model,
        "trained_languages": [language],
        "version": 2,
        "micro": {
            "probability_cutoff": threshold,
            "sliding_window_size": smoothing_frames,
            "feature_step_size": FEATURE_STEP_MS,
            "tensor_arena_size": arena,
            "minimum_esphome_version": _MINIMUM_ESPHOME,
        },
    }


class Cutoff(NamedTuple):
    """A threshold that both the package and a device keep to.

    Attributes:
        probability: what the manifest says.
        mean: the same for means of the file's probabilities, which are whole numbers of 256ths: none is equal to it.
    """

    probability: float
    mean: float


def cutoff(threshold: float, smoothing_frames: int) -> Cutoff:
    """Return the lowest cutoff with which a device fires at means of at least `threshold` alone.

    ESPHome makes a whole number of 255ths of the manifest's cutoff, rounding down, and fires where the sum of the last
    `smoothing_frames` outputs, 256ths as they are, exceeds so many times that number. Written as it was chosen, 0.97
    would fire from 0.9688 on.
    """
    steps = min(max(math.ceil(256 * threshold - 1 / smoothing_frames), 0), 254)
    return Cutoff(math.ceil(steps / 255 * 1e6) / 1e6, (steps + 0.5 / smoothing_frames) / 256)


def arena_bytes(state: int, operators: int) -> int:
    """Return memory to set aside on a device, in bytes, rounded up to 1 kB; on the large side, for want of a device.

    Args:
        state: values that the network remembers, a byte each.
        operators: of the graph; each brings tensors, and a convolution 8 bytes for each channel.
    """
    return -(-(_ARENA_BASE + state + _ARENA_FOR_OPERATOR * operators) // 1024) * 1024


def write(path: Path, content: bytes, described: dict[str, Any]) -> None:
    """Write `path`, the manifest, and the TFLite file that it names beside it."""
    write_bytes(path.parent / described["model"], content)
    write_bytes(path, (json.dumps(described, indent=2, ensure_ascii=False) + "\n").encode())


def score(path: Path, recordings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Score features with microWakeWord's package, each recording from the start.

    Args:
        path: a manifest.
        recordings: features, each `(time, channels)` in nats.

    Returns:
        For each recording its probabilities `(time // stride,)` float32, before the moving average.
    """
    asked = MicroWakeWord.from_config(path)
    found = []
    for features in recordings:
        engine = MicroWakeWord(
            id=asked.id,
            wake_word=asked.wake_word,
            tflite_model=asked.tflite_model,
            probability_cutoff=asked.probability_cutoff,
            sliding_window_size=1,
            trained_languages=asked.trained_languages,
            libtensorflowlite_c_path=asked.libtensorflowlite_c_path,
        )
        given = np.asarray(features, dtype=np.float32) / np.float32(NATS)
        probabilities = [engine.process_streaming_prob(frame[None, None]) for frame in given]
        found.append(np.array(probabilities[engine.stride - 1 :: engine.stride], dtype=np.float32))
    return found
