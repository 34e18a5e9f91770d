"""What the device that records does to sound: a narrow band, a clock that is not quite true, a codec.

Filter and MP3 are audiomentations'. Its transforms draw their parameters from global generators; they are given ours
instead, so that a stream depends on its own seed alone.
"""

from dataclasses import dataclass

import numpy as np
import soxr
from audiomentations import BandPassFilter, Mp3Compression

from wakeword.streams.config import MP3_KBPS, AugmentConfig

SAMPLE_RATE = 16_000
TELEPHONE_RATE = 8_000

_MU = 255.0
_LEVELS = 127.0  # of µ-law, either way


@dataclass(frozen=True, slots=True)
class Device:
    """A device; without arguments one that changes nothing.

    Attributes:
        band_hz: lowest and highest frequency that it lets through, and how steeply it cuts, in dB an octave.
        codec_kbps: 0 for µ-law at 8 kHz, else the rate of an MP3; None for no codec.
        skew: how much too slow its clock is: it takes a second to be 1 + skew seconds long.
    """

    band_hz: tuple[float, float, int] | None = None
    codec_kbps: int | None = None
    skew: float = 0.0


TRUE_DEVICE = Device()


def draw_device(augment: AugmentConfig, rng: np.random.Generator) -> Device:
    """Draw a device for a training stream."""
    band, codec, skew = None, None, 0.0
    if rng.random() < augment.band_probability:
        steepness = 6 * int(rng.integers(2, 9))
        band = (rng.uniform(*augment.band_low_hz), rng.uniform(*augment.band_high_hz), steepness)
    if rng.random() < augment.codec_probability:
        rates = [rate for rate in MP3_KBPS if augment.mp3_kbps[0] <= rate <= augment.mp3_kbps[1]]
        codec = 0 if rng.random() < augment.telephone_share else int(rng.choice(rates))
    if rng.random() < augment.skew_probability:
        skew = rng.uniform(-augment.skew_ppm, augment.skew_ppm) / 1e6
    return Device(band, codec, skew)


def recorded(sound: np.ndarray, device: Device, samples: int) -> np.ndarray:
    """Return what a device records: `(samples,)` float32, full scale ±1.

    Args:
        sound: `(n,)` float32 at 16 kHz of the world's time, where n is about `samples` * (1 + skew).
        device: the device.
        samples: how many samples it takes.
    """
    if device.band_hz is not None:
        sound = _band_limited(sound, *device.band_hz)
    if device.skew:
        sound = soxr.resample(sound, SAMPLE_RATE * (1.0 + device.skew), SAMPLE_RATE, quality="MQ")
        sound = np.pad(sound[:samples], (0, max(0, samples - len(sound))))
    if device.codec_kbps is not None:
        sound = np.clip(sound, -1.0, 1.0)
        sound = _mu_law(sound) if device.codec_kbps == 0 else _mp3(sound, device.codec_kbps)
    return sound


def _band_limited(sound: np.ndarray, low_hz: float, high_hz: float, steepness: int) -> np.ndarray:
    transform = BandPassFilter(p=1.0)
    transform.parameters = {
        "center_freq": (low_hz + high_hz) / 2,
        "bandwidth": high_hz - low_hz,
        "rolloff": steepness,
    }
    filtered: np.ndarray = transform.apply(sound.astype(np.float32), SAMPLE_RATE)
    return filtered.astype(np.float32)


def _mp3(sound: np.ndarray, kbps: int) -> np.ndarray:
    transform = Mp3Compression(p=1.0, backend="fast-mp3-augment", preserve_delay=False, quality=7)
    transform.parameters = {"bitrate": kbps}
    coded: np.ndarray = transform.apply(np.ascontiguousarray(sound, dtype=np.float32), SAMPLE_RATE)
    return coded


def _mu_law(sound: np.ndarray) -> np.ndarray:
    """Return the sound after a telephone's codec: 8 kHz, 8 bits by the µ law (the continuous form of ITU-T G.711)."""
    narrow = np.clip(soxr.resample(sound, SAMPLE_RATE, TELEPHONE_RATE), -1.0, 1.0)
    codes = np.round(np.log1p(_MU * np.abs(narrow)) / np.log1p(_MU) * _LEVELS)
    decoded = np.sign(narrow) * np.expm1(codes / _LEVELS * np.log1p(_MU)) / _MU
    wide: np.ndarray = soxr.resample(decoded.astype(np.float32), TELEPHONE_RATE, SAMPLE_RATE)
    return np.pad(wide[: len(sound)], (0, max(0, len(sound) - len(wide))))
