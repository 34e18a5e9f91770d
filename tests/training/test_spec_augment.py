"""SpecAugment blanks what it may, no more, and its gain is the gain of a louder recording."""

import numpy as np
import torch

from wakeword.features.frontend import FrontendConfig, log_mel
from wakeword.training.config import SpecAugmentConfig
from wakeword.training.spec_augment import spec_augment

FRONTEND = FrontendConfig()
SILENCE = torch.full((40,), float(np.log(FRONTEND.floor)))
FILL = torch.full((40,), 123.0)
NOTHING = SpecAugmentConfig(time_masks=0, band_masks=0, gain_db=0.0)


def windows(count: int = 64) -> torch.Tensor:
    pcm = (np.random.default_rng(0).standard_normal(16_000) * 500).astype(np.int16)
    return torch.from_numpy(log_mel(pcm, FRONTEND)).expand(count, -1, -1)


def test_nothing_asked_for_nothing_done() -> None:
    changed = spec_augment(windows(), FILL, SILENCE, NOTHING, np.random.default_rng(0))
    assert torch.allclose(changed, windows(), atol=1e-4)


def test_masks_are_whole_stretches_within_their_limits() -> None:
    config = SpecAugmentConfig(time_masks=2, time_ms=150, band_masks=2, bands=6, gain_db=0.0)
    blank = spec_augment(windows(500), FILL, SILENCE, config, np.random.default_rng(0)) == 123.0
    times, bands = blank.all(dim=2).sum(dim=1), blank.all(dim=1).sum(dim=1)
    assert times.max() <= 30 and bands.max() <= 12
    assert times.min() == 0 and times.float().mean() > 5 and bands.float().mean() > 2
    assert torch.equal(blank, blank.all(dim=2)[:, :, None] | blank.all(dim=1)[:, None, :])


def test_gain_is_that_of_a_louder_recording() -> None:
    rng = np.random.default_rng(0)
    pcm = (rng.standard_normal(16_000) * 200).astype(np.int16)
    config = SpecAugmentConfig(time_masks=0, band_masks=0, gain_db=6.0)
    quiet = torch.from_numpy(log_mel(pcm, FRONTEND))[None]
    changed = spec_augment(quiet, FILL, SILENCE, config, np.random.default_rng(1))[0].numpy()
    gain = np.random.default_rng(1).uniform(-6.0, 6.0, size=(1, 1, 1)).item()
    louder = log_mel((pcm / 32768 * 10 ** (gain / 20)).astype(np.float32), FRONTEND)
    assert np.abs(changed - louder).max() < 1e-3


def test_silence_stays_silence_whatever_the_gain() -> None:
    silent = SILENCE.expand(4, 50, 40)
    config = SpecAugmentConfig(time_masks=0, band_masks=0, gain_db=20.0)
    assert torch.allclose(spec_augment(silent, FILL, SILENCE, config, np.random.default_rng(0)), silent, atol=1e-4)
