"""Sounds whose properties are known, and files of them, for tests."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def tone(seconds: float, rate: int = RATE, frequency: float = 440.0, amplitude: float = 0.5) -> np.ndarray:
    """Return a sine, `(samples,)` float64, that is 0 at time 0."""
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def word(seconds: float, seed: int, rate: int = RATE, amplitude: float = 0.3) -> np.ndarray:
    """Return something with the rhythm of a word: noise bursts of 150 ms with gaps of 50 ms, `(samples,)` float64."""
    rng = np.random.default_rng([seed, 77])
    noise = np.clip(rng.standard_normal(round(seconds * rate)) / 3, -1, 1)
    syllables = (np.arange(len(noise)) / rate % 0.2) < 0.15
    return amplitude * noise * syllables


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str | None = None) -> Path:
    """Write an audio file, its folders too; the format is that of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        soundfile.write(file, samples, rate, format=path.suffix[1:].upper(), subtype=subtype)
    return path
