"""Changes to batches of log-mel windows that make other speakers and microphones of them, and hide parts.

SpecAugment (Park et al., arXiv:1904.08779) without its warping of time; vocal tract length perturbation (Jaitly and
Hinton, ICML workshop on deep learning for audio, 2013); a random gain and a random smooth equalizer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wakeword.features.frontend import FRAME_MS
from wakeword.training.config import SpecAugmentConfig
from wakeword.training.devices import to_device

_BREAK_HZ = 700.0  # of the mel scale
_EQUALIZER_KNOTS = 5


@dataclass(frozen=True)
class Changes:
    """What is to become of the windows of a batch; see `draw_changes`.

    Attributes:
        gain: `(batch, 1, mels)` float32, of the power.
        sources: `(batch, mels)` float64, the band, or the place between two, that each band takes its power from;
            None to leave them.
        blank_time, blank_bands: `(2, batch, masks, 1)` int32, where each stretch to be blanked begins, and where it
            has ended.
    """

    gain: Tensor
    sources: Tensor | None
    blank_time: Tensor
    blank_bands: Tensor

    def to(self, device: torch.device) -> "Changes":
        """Return the same on a device."""
        sources = None if self.sources is None else to_device(self.sources, device)
        gain, time, bands = (to_device(each, device) for each in (self.gain, self.blank_time, self.blank_bands))
        return Changes(gain, sources, time, bands)


def draw_changes(
    shape: Sequence[int], range_hz: tuple[float, float], config: SpecAugmentConfig, rng: np.random.Generator
) -> Changes:
    """Draw how to change a batch of windows.

    Args:
        shape: `(batch, time, mels)` of the windows.
        range_hz: lower edge of the first band and upper edge of the last.
        config: how much of what.
        rng: draws everything, in one order whatever the device.
    """
    batch, time, mels = shape
    gain_db = rng.uniform(-config.gain_db, config.gain_db, size=(batch, 1)) + _curves(
        batch, mels, config.equalizer_db, rng
    )
    sources = _sources(1.0 + rng.uniform(-config.vocal_tract, config.vocal_tract, size=batch), mels, range_hz)
    blank_time = _stretches(batch, time, config.time_masks, config.time_ms // FRAME_MS, rng)
    blank_bands = _stretches(batch, mels, config.band_masks, config.bands, rng)
    return Changes(
        torch.from_numpy((10.0 ** (gain_db[:, None, :] / 10.0)).astype(np.float32)),
        torch.from_numpy(sources) if config.vocal_tract else None,
        torch.from_numpy(blank_time),
        torch.from_numpy(blank_bands),
    )


def spec_augment(features: Tensor, fill: Tensor, silence: Tensor, changes: Changes) -> Tensor:
    """Return changed copies of the windows.

    Args:
        features: `(batch, time, mels)` log-mel frames.
        fill: `(mels,)`, what a blanked cell becomes: the training mean, which CMVN turns into 0.
        silence: `(mels,)`, the frame of digital silence, whose power is the floor that no gain can change.
        changes: on the same device.
    """
    floor = silence.exp()
    # In place, as what a step allocates anew must be cleared by the system.
    power = features.exp().sub_(floor).clamp_(min=0.0)
    if changes.sources is not None:
        power = torch.bmm(power, _warp_matrices(changes.sources))
    louder = power.mul_(changes.gain).add_(floor).log_()
    blank_time, blank_bands = (
        _covered(edges, length)
        for edges, length in zip((changes.blank_time, changes.blank_bands), features.shape[1:], strict=True)
    )
    return torch.where(blank_time[:, :, None] | blank_bands[:, None, :], fill, louder)


def _curves(batch: int, mels: int, most_db: float, rng: np.random.Generator) -> np.ndarray:
    """Return `(batch, mels)` gains in dB: lines between knots that are spread evenly over the bands."""
    knots = rng.uniform(-most_db, most_db, size=(batch, _EQUALIZER_KNOTS))
    where = np.linspace(0.0, _EQUALIZER_KNOTS - 1.0, mels)
    left = np.minimum(where.astype(int), _EQUALIZER_KNOTS - 2)
    share = where - left
    curves: np.ndarray = knots[:, left] * (1.0 - share) + knots[:, left + 1] * share
    return curves


def _sources(factors: np.ndarray, mels: int, range_hz: tuple[float, float]) -> np.ndarray:
    """Return `(batch, mels)` bands whose centres are those of all bands divided by a factor each.

    Beyond the outermost band it is the outermost.
    """

    def mel(hertz: np.ndarray) -> np.ndarray:
        return np.asarray(np.log1p(hertz / _BREAK_HZ))

    low, high = mel(np.array(range_hz))
    step = (high - low) / (mels + 1)
    centres = _BREAK_HZ * np.expm1(low + step * np.arange(1, mels + 1))
    return np.asarray(np.clip((mel(centres / factors[:, None]) - low) / step - 1.0, 0.0, mels - 1.0))


def _warp_matrices(sources: Tensor) -> Tensor:
    """Return `(batch, mels, mels)` float32 that give each band of a power spectrum, a row, the power at its source.

    Between two bands it is interpolated linearly.
    """
    bands = torch.arange(sources.shape[1], device=sources.device)[:, None]
    return (1.0 - (bands - sources[:, None, :]).abs_()).clamp_(min=0.0).float()


def _stretches(batch: int, length: int, most: int, longest: int, rng: np.random.Generator) -> np.ndarray:
    """Draw 0 to `most` stretches of 0 to `longest` cells for each row of `length` cells.

    Returns:
        `(2, batch, most, 1)` int32, where each begins and where it has ended; those that are none are empty.
    """
    edges = np.zeros((2, batch, most, 1), dtype=np.int32)
    used = rng.integers(0, most + 1, size=batch)
    for index in range(most):
        size = rng.integers(0, min(longest, length) + 1, size=batch)
        start = rng.integers(0, length - size + 1)
        edges[:, :, index, 0] = start, start + size * (index < used)
    return edges


def _covered(edges: Tensor, length: int) -> Tensor:
    """Return `(batch, length)` bool, the cells that lie in a stretch."""
    cells = torch.arange(length, dtype=torch.int32, device=edges.device)
    return ((cells >= edges[0]) & (cells < edges[1])).any(dim=1)
