"""The front-end: causal log-mel frames from 16 kHz PCM, the same in featurize, in training and in the exported file.

No statistic of a clip enters its features, so a frame can be computed as soon as its samples have arrived.
"""

import numpy as np
from pydantic import Field, model_validator

from wakeword.base.files import fingerprint
from wakeword.base.params import Section

SAMPLE_RATE = 16_000
HOP = 160
WINDOW = 400
FFT_SIZE = 512
FRAME_MS = 1000 * HOP // SAMPLE_RATE

_BLOCK_FRAMES = 3000


class FrontendConfig(Section):
    """The `features` section of `params.yaml`.

    Attributes:
        mels: number of mel bands.
        f_min_hz, f_max_hz: lower edge of the first band and upper edge of the last.
        floor: added to each band's power before the logarithm (full scale is 1). It lies near a quiet room's
            own noise, so that digital silence and a quiet microphone look alike.
    """

    mels: int = Field(40, ge=8, le=128)
    f_min_hz: float = Field(60.0, ge=0.0, lt=8000.0)
    f_max_hz: float = Field(7600.0, gt=0.0, le=8000.0)
    floor: float = Field(1e-6, gt=0.0, le=1e-2)

    @model_validator(mode="after")
    def _bands_fit(self) -> "FrontendConfig":
        if self.f_min_hz >= self.f_max_hz:
            raise ValueError("f_min_hz must lie below f_max_hz")
        empty = np.flatnonzero(mel_matrix(self).sum(axis=0) == 0)
        if len(empty):
            raise ValueError(f"{self.mels} mels leave band {empty[0]} without a single FFT bin; use fewer")
        return self

    @property
    def fingerprint(self) -> str:
        """Identifies everything that decides a feature's value."""
        fixed = {"rate": SAMPLE_RATE, "hop": HOP, "window": WINDOW, "fft": FFT_SIZE, "version": 1}
        return fingerprint({**self.model_dump(), **fixed})


def hann_window() -> np.ndarray:
    """Return the periodic Hann window, `(WINDOW,)` float32."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def mel_matrix(config: FrontendConfig) -> np.ndarray:
    """Return the triangular mel filters, `(FFT_SIZE // 2 + 1, mels)` float32, peak 1, on the HTK mel scale.

    The values are rounded to half precision, so that an exported file can store them in half the space and
    still compute exactly what training saw.
    """

    def mel(hertz: float) -> float:
        return float(2595.0 * np.log10(1.0 + hertz / 700.0))

    corners_mel = np.linspace(mel(config.f_min_hz), mel(config.f_max_hz), config.mels + 2)
    corners = 700.0 * (10.0 ** (corners_mel / 2595.0) - 1.0)
    bins = np.linspace(0.0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1)
    rising = (bins[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins[:, None]) / (corners[2:] - corners[1:-1])
    filters: np.ndarray = np.maximum(0.0, np.minimum(rising, falling))
    return filters.astype(np.float16).astype(np.float32)


def log_mel(pcm: np.ndarray, config: FrontendConfig) -> np.ndarray:
    """Compute the features of a whole recording that silence precedes.

    Args:
        pcm: `(samples,)` int16, or float with full scale at 1.
        config: the front-end's parameters.

    Returns:
        `(samples // HOP, mels)` float32. Frame `j` sees samples `(j + 1) * HOP - WINDOW` to `(j + 1) * HOP`.
    """
    window, filters = hann_window(), mel_matrix(config)
    scale = np.float32(1 / 32768 if pcm.dtype == np.int16 else 1.0)
    frames = len(pcm) // HOP
    lead = WINDOW - HOP
    features = np.empty((frames, config.mels), dtype=np.float32)
    for first in range(0, frames, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, frames)
        start = first * HOP - lead
        samples = pcm[max(start, 0) : last * HOP].astype(np.float32) * scale
        samples = np.pad(samples, (max(-start, 0), 0))
        framed = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
        spectrum = np.fft.rfft(framed * window, n=FFT_SIZE)
        power = spectrum.real**2 + spectrum.imag**2
        features[first:last] = np.log(power @ filters + np.float32(config.floor))
    return features
