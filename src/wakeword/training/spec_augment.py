"""SpecAugment (Park et al., arXiv:1904.08779) without warping, and a random gain, on batches of log-mel windows."""

import numpy as np
import torch
from torch import Tensor

from wakeword.features.frontend import FRAME_MS
from wakeword.training.config import SpecAugmentConfig


def spec_augment(
    features: Tensor, fill: Tensor, silence: Tensor, config: SpecAugmentConfig, rng: np.random.Generator
) -> Tensor:
    """Return changed copies of the windows.

    Args:
        features: `(batch, time, mels)` log-mel frames.
        fill: `(mels,)`, what a blanked cell becomes: the training mean, which CMVN turns into 0.
        silence: `(mels,)`, the frame of digital silence, whose power is the floor that no gain can change.
        config: how much of what.
        rng: draws everything, in one order whatever the device.
    """
    batch, time, mels = features.shape
    gain = 10.0 ** (rng.uniform(-config.gain_db, config.gain_db, size=(batch, 1, 1)) / 10.0)
    blank_time = _stretches(batch, time, config.time_masks, config.time_ms // FRAME_MS, rng)
    blank_bands = _stretches(batch, mels, config.band_masks, config.bands, rng)
    blank = torch.from_numpy(blank_time[:, :, None] | blank_bands[:, None, :]).to(features.device)
    floor = silence.exp()
    power = (features.exp() - floor).clamp(min=0.0)
    louder = (power * torch.from_numpy(gain.astype(np.float32)).to(features.device) + floor).log()
    return torch.where(blank, fill, louder)


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
