"""Changes to batches of log-mel windows that make other speakers and microphones of them, and hide parts.

SpecAugment (Park et al., arXiv:1904.08779) without its warping of time; vocal tract length perturbation (Jaitly and
Hinton, ICML workshop on deep learning for audio, 2013); a random gain and a random smooth equalizer.
"""

import numpy as np
import torch
from torch import Tensor

from wakeword.features.frontend import FRAME_MS
from wakeword.training.config import SpecAugmentConfig

_BREAK_HZ = 700.0  # of the mel scale
_EQUALIZER_KNOTS = 5


def spec_augment(
    features: Tensor,
    fill: Tensor,
    silence: Tensor,
    range_hz: tuple[float, float],
    config: SpecAugmentConfig,
    rng: np.random.Generator,
) -> Tensor:
    """Return changed copies of the windows.

    Args:
        features: `(batch, time, mels)` log-mel frames.
        fill: `(mels,)`, what a blanked cell becomes: the training mean, which CMVN turns into 0.
        silence: `(mels,)`, the frame of digital silence, whose power is the floor that no gain can change.
        range_hz: lower edge of the first band and upper edge of the last.
        config: how much of what.
        rng: draws everything, in one order whatever the device.
    """
    batch, time, mels = features.shape
    gain_db = rng.uniform(-config.gain_db, config.gain_db, size=(batch, 1)) + _curves(
        batch, mels, config.equalizer_db, rng
    )
    warp = _warp_matrices(1.0 + rng.uniform(-config.vocal_tract, config.vocal_tract, size=batch), mels, range_hz)
    blank_time = _stretches(batch, time, config.time_masks, config.time_ms // FRAME_MS, rng)
    blank_bands = _stretches(batch, mels, config.band_masks, config.bands, rng)
    blank = torch.from_numpy(blank_time[:, :, None] | blank_bands[:, None, :]).to(features.device)
    gain = torch.from_numpy((10.0 ** (gain_db[:, None, :] / 10.0)).astype(np.float32)).to(features.device)
    floor = silence.exp()
    # In place, as what a step allocates anew must be cleared by the system.
    power = features.exp().sub_(floor).clamp_(min=0.0)
    if config.vocal_tract:
        power = torch.bmm(power, torch.from_numpy(warp).to(features.device))
    louder = power.mul_(gain).add_(floor).log_()
    return torch.where(blank, fill, louder)


def _curves(batch: int, mels: int, most_db: float, rng: np.random.Generator) -> np.ndarray:
    """Return `(batch, mels)` gains in dB: lines between knots that are spread evenly over the bands."""
    knots = rng.uniform(-most_db, most_db, size=(batch, _EQUALIZER_KNOTS))
    where = np.linspace(0.0, _EQUALIZER_KNOTS - 1.0, mels)
    left = np.minimum(where.astype(int), _EQUALIZER_KNOTS - 2)
    share = where - left
    curves: np.ndarray = knots[:, left] * (1.0 - share) + knots[:, left + 1] * share
    return curves


def _warp_matrices(factors: np.ndarray, mels: int, range_hz: tuple[float, float]) -> np.ndarray:
    """Return `(batch, mels, mels)` float32 that scale every frequency of a power spectrum, a row, by a factor each.

    Band `j` of the result takes the power at its centre divided by the factor, by linear interpolation between the
    bands around it; beyond the outermost band the outermost is taken.
    """

    def mel(hertz: np.ndarray) -> np.ndarray:
        return np.asarray(np.log1p(hertz / _BREAK_HZ))

    low, high = mel(np.array(range_hz))
    step = (high - low) / (mels + 1)
    centres = _BREAK_HZ * np.expm1(low + step * np.arange(1, mels + 1))
    sources = (mel(centres / factors[:, None]) - low) / step - 1.0
    sources = np.clip(sources, 0.0, mels - 1.0)[:, None, :]
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(mels)[:, None] - sources))
    return np.asarray(weights, dtype=np.float32)


def _stretches(batch: int, length: int, most: int, longest: int, rng: np.random.Generator) -> np.ndarray:
    """Return `(batch, length)` bool with 0 to `most` stretches of 0 to `longest` cells set in each row."""
    covered = np.zeros((batch, length), dtype=bool)
    positions = np.arange(length)
    used = rng.integers(0, most + 1, size=batch)
    for index in range(most):
        size = rng.integers(0, min(longest, length) + 1, size=batch)
        start = rng.integers(0, length - size + 1)
        inside = (positions >= start[:, None]) & (positions < (start + size)[:, None])
        covered |= inside & (index < used)[:, None]
    return covered
