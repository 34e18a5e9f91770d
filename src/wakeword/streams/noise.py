"""Generated background sound, for those who have no recordings of any: coloured noise, mains hum, babble."""

import numpy as np
from scipy.signal import butter, sosfilt

SAMPLE_RATE = 16_000


def rms(samples: np.ndarray) -> float:
    """Return the root mean square of `(samples,)` floats; 0 for an empty array."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def coloured(samples: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise of RMS 1, `(samples,)` float32, whose power falls with frequency to the power `exponent`.

    0 is white, 1 pink, 2 brown. The spectrum is shaped exactly, above 20 Hz.
    """
    spectrum = np.fft.rfft(rng.standard_normal(samples).astype(np.float32))
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 20.0)
    shaped = np.fft.irfft(spectrum * (frequencies ** (-exponent / 2)).astype(np.float32), n=samples)
    return (shaped / rms(shaped)).astype(np.float32)


def hum(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return mains hum or a motor's drone, `(samples,)` float32 of RMS 1: a low tone with falling harmonics."""
    fundamental = rng.choice([50.0, 60.0, rng.uniform(70.0, 180.0)])
    time = np.arange(samples) / SAMPLE_RATE
    tone = sum(
        rng.uniform(0.3, 1.0) / k * np.sin(2 * np.pi * (fundamental * k * time + rng.uniform())) for k in range(1, 13)
    )
    drone: np.ndarray = tone + 0.2 * coloured(samples, rng.uniform(0.5, 1.5), rng)
    return (drone / rms(drone)).astype(np.float32)


def swelling(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return a slowly moving gain between 0.2 and 1, `(samples,)` float32: wind, traffic and fans come and go."""
    knots = rng.uniform(0.2, 1.0, size=max(2, int(samples / SAMPLE_RATE / rng.uniform(0.5, 4.0)) + 2))
    return np.interp(np.linspace(0, len(knots) - 1, samples), np.arange(len(knots)), knots).astype(np.float32)


def babble(voices: list[np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return several people talking at once, `(samples,)` float32 of RMS 1.

    Args:
        voices: recordings of speech, `(n,)` floats, that are repeated from a random point to fill the length.
        samples: the length.
        rng: decides where each voice starts and how loud it is.
    """
    mixed = np.zeros(samples, dtype=np.float32)
    for voice in voices:
        loudness = rms(voice)
        if loudness > 0:
            repeated = np.resize(np.roll(voice, int(rng.integers(len(voice)))), samples)
            mixed += repeated * np.float32(rng.uniform(0.5, 1.0) / loudness)
    level = rms(mixed)
    return mixed / np.float32(level) if level > 0 else coloured(samples, 1.0, rng)


def generated(samples: int, voices: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return a random kind of background, `(samples,)` float32 of RMS 1.

    Args:
        samples: the length.
        voices: speech for babble; without any, the other kinds are drawn.
        rng: decides everything.
    """
    kind = rng.integers(4 if voices else 3)
    if kind == 3:
        return babble(voices, samples, rng)
    noise: np.ndarray = hum(samples, rng) if kind == 2 else coloured(samples, rng.uniform(0.0, 2.0), rng)
    if kind == 1:
        low = rng.uniform(100.0, 1500.0)
        band = butter(2, [low, min(7500.0, low * rng.uniform(2.0, 8.0))], "bandpass", fs=SAMPLE_RATE, output="sos")
        noise = sosfilt(band, noise).astype(np.float32)
    noise = noise * swelling(samples, rng)
    return (noise / rms(noise)).astype(np.float32)
