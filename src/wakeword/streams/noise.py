"""Generated background sound, for those who have no recordings: noise, appliances, babble, music."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from scipy import fft
from scipy.signal import butter, sosfilt

from wakeword.streams.music import music

SAMPLE_RATE = 16_000

MadeUp = Literal["noise", "band of noise", "appliance", "babble", "music"]
"""What a background may be that nobody recorded."""
MADE_UP: tuple[MadeUp, ...] = get_args(MadeUp)

_TALKERS = (3, 8)
_CLICK_S = 0.2
_CYCLE = 8192  # points of one cycle of hum; between them lie straight lines


def rms(samples: np.ndarray) -> float:
    """Return the root mean square of `(samples,)` floats; 0 for an empty array."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def coloured(samples: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise of RMS 1, `(samples,)` float32, whose power falls with frequency to the power `exponent`.

    0 is white, 1 pink, 2 brown. The spectrum is shaped exactly, above 20 Hz.
    """
    longer = fft.next_fast_len(samples, real=True)  # a length with large prime factors takes eight times as long
    spectrum = fft.rfft(rng.standard_normal(longer, dtype=np.float32))
    frequencies = np.maximum(fft.rfftfreq(longer, 1 / SAMPLE_RATE), 20.0)
    shaped: np.ndarray = fft.irfft(spectrum * (frequencies ** (-exponent / 2)).astype(np.float32), n=longer)[:samples]
    return (shaped / rms(shaped)).astype(np.float32)


def hum(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return mains hum or a motor's tone, `(samples,)` float32 of RMS 1: a low tone with falling harmonics."""
    fundamental = rng.choice([50.0, 60.0, rng.uniform(70.0, 180.0)])
    turn = np.arange(_CYCLE + 1) / _CYCLE
    cycle = np.zeros(_CYCLE + 1)
    for k in range(1, 13):
        cycle += rng.uniform(0.3, 1.0) / k * np.sin(2 * np.pi * (k * turn + rng.uniform()))
    tone: np.ndarray = np.interp(fundamental * np.arange(samples) / SAMPLE_RATE % 1.0, turn, cycle)
    return (tone / rms(tone)).astype(np.float32)


def fan(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return a fan, `(samples,)` float32 of RMS 1: air, loudest below some frequency, that beats as the blades pass."""
    blades_hz, depth = rng.uniform(8.0, 90.0), rng.uniform(0.05, 0.5)
    air = sosfilt(
        butter(1, rng.uniform(300.0, 3000.0), "lowpass", fs=SAMPLE_RATE, output="sos"),
        coloured(samples, rng.uniform(0.0, 1.0), rng),
    )
    beating: np.ndarray = air * (1.0 + depth * np.sin(2 * np.pi * blades_hz * np.arange(samples) / SAMPLE_RATE))
    return (beating / rms(beating)).astype(np.float32)


def clicks(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return a relay, a clock or a keyboard, `(samples,)` float32 with peaks near 1: short rings, regular or not."""
    period_s, unsteady = rng.uniform(0.15, 1.5), rng.choice([0.02, 0.5])
    ring_hz, decay_s = rng.uniform(800.0, 5000.0), rng.uniform(0.002, 0.03)
    time = np.arange(int(_CLICK_S * SAMPLE_RATE)) / SAMPLE_RATE
    ring = (np.sin(2 * np.pi * ring_hz * time) + 0.3 * rng.standard_normal(len(time))) * np.exp(-time / decay_s)
    heard = np.zeros(samples + len(ring))
    at_s = rng.uniform(0.0, period_s)
    while at_s * SAMPLE_RATE < samples:
        start = int(at_s * SAMPLE_RATE)
        heard[start : start + len(ring)] += rng.uniform(0.4, 1.0) * ring
        at_s += period_s * rng.uniform(1.0 - unsteady, 1.0 + unsteady)
    return heard[:samples].astype(np.float32)


def appliance(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return something that runs in a house, `(samples,)` float32: hum and fan in a random ratio, perhaps clicks."""
    ratio = rng.uniform(0.05, 0.95)
    running: np.ndarray = np.sqrt(ratio) * hum(samples, rng) + np.sqrt(1 - ratio) * fan(samples, rng)
    if rng.random() < 0.5:
        running = running + rng.uniform(1.0, 6.0) * clicks(samples, rng)
    return running.astype(np.float32)


def swelling(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return a slowly moving gain between 0.2 and 1, `(samples,)` float32: wind, traffic and fans come and go."""
    knots = rng.uniform(0.2, 1.0, size=max(2, int(samples / SAMPLE_RATE / rng.uniform(0.5, 4.0)) + 2))
    return np.interp(np.linspace(0, len(knots) - 1, samples), np.arange(len(knots)), knots).astype(np.float32)


def babble(voices: Sequence[np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return several people talking at once, `(samples,)` float32.

    Args:
        voices: recordings of speech, `(n,)` floats. They are dealt out to 3 to 8 talkers, each of whom says theirs
            over and over, from a random point on.
        samples: the length.
        rng: decides how many talk, where each begins and how loud they are.
    """
    talkers = int(rng.integers(_TALKERS[0], _TALKERS[1] + 1))
    loud = [voice / np.float32(level) for voice in voices if (level := rms(voice)) > 0]
    mixed = np.zeros(samples, dtype=np.float32)
    for talker in range(min(talkers, len(loud))):
        said = np.concatenate(loud[talker::talkers])
        mixed += np.float32(rng.uniform(0.5, 1.0)) * np.resize(np.roll(said, int(rng.integers(len(said)))), samples)
    return mixed if loud else coloured(samples, 1.0, rng)


def generated(kind: MadeUp, samples: int, voices: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return a background that nobody recorded, `(samples,)` float32 of RMS 1.

    Args:
        kind: what it is.
        samples: the length, at least 10 ms.
        voices: speech for babble.
        rng: decides everything else.
    """
    match kind:
        case "babble":
            sound = babble(voices, samples, rng)
        case "music":
            sound = music(samples, rng)
        case "appliance":
            sound = appliance(samples, rng) * swelling(samples, rng)
        case "noise":
            sound = coloured(samples, rng.uniform(0.0, 2.0), rng) * swelling(samples, rng)
        case "band of noise":
            sound = _band(coloured(samples, rng.uniform(0.0, 2.0), rng), rng) * swelling(samples, rng)
    return (sound / rms(sound)).astype(np.float32)


def _band(noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    low = rng.uniform(100.0, 1500.0)
    high = min(7500.0, low * rng.uniform(2.0, 8.0))
    filtered: np.ndarray = sosfilt(butter(2, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos"), noise)
    return filtered
