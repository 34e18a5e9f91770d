"""SpecAugment blanks what it may, no more, and its gain is the gain of a louder recording."""

import numpy as np
import pytest
import torch

from wakeword.features.frontend import FrontendConfig, log_mel
from wakeword.training.config import SpecAugmentConfig
from wakeword.training.spec_augment import draw_changes, spec_augment

FRONTEND = FrontendConfig()
SILENCE = torch.full((40,), float(np.log(FRONTEND.floor)))
FILL = torch.full((40,), 123.0)
RANGE_HZ = (FRONTEND.f_min_hz, FRONTEND.f_max_hz)
NOTHING = SpecAugmentConfig(time_masks=0, band_masks=0, gain_db=0.0, equalizer_db=0.0, vocal_tract=0.0)


def windows(count: int = 64) -> torch.Tensor:
    pcm = (np.random.default_rng(0).standard_normal(16_000) * 500).astype(np.int16)
    return torch.from_numpy(log_mel(pcm, FRONTEND)).expand(count, -1, -1)


def change(features: torch.Tensor, config: SpecAugmentConfig, seed: int) -> torch.Tensor:
    changes = draw_changes(features.shape, RANGE_HZ, config, np.random.default_rng(seed))
    return spec_augment(features, FILL, SILENCE, changes)


def test_nothing_asked_for_nothing_done() -> None:
    changed = change(windows(), NOTHING, 0)
    assert torch.allclose(changed, windows(), atol=1e-4)


def test_masks_are_whole_stretches_within_their_limits() -> None:
    config = NOTHING.model_copy(update={"time_masks": 2, "time_ms": 150, "band_masks": 2, "bands": 6})
    blank = change(windows(500), config, 0) == 123.0
    times, bands = blank.all(dim=2).sum(dim=1), blank.all(dim=1).sum(dim=1)
    assert times.max() <= 30 and bands.max() <= 12
    assert times.min() == 0 and times.float().mean() > 5 and bands.float().mean() > 2
    assert torch.equal(blank, blank.all(dim=2)[:, :, None] | blank.all(dim=1)[:, None, :])


def test_gain_is_that_of_a_louder_recording() -> None:
    rng = np.random.default_rng(0)
    pcm = (rng.standard_normal(16_000) * 200).astype(np.int16)
    config = NOTHING.model_copy(update={"gain_db": 6.0})
    quiet = torch.from_numpy(log_mel(pcm, FRONTEND))[None]
    changed = change(quiet, config, 1)[0].numpy()
    gain = np.random.default_rng(1).uniform(-6.0, 6.0, size=(1, 1, 1)).item()
    louder = log_mel((pcm / 32768 * 10 ** (gain / 20)).astype(np.float32), FRONTEND)
    assert np.abs(changed - louder).max() < 1e-3


def test_silence_stays_silence_whatever_the_gain() -> None:
    silent = SILENCE.expand(4, 50, 40)
    config = NOTHING.model_copy(update={"gain_db": 20.0, "equalizer_db": 10.0, "vocal_tract": 0.2})
    assert torch.allclose(change(silent, config, 0), silent, atol=1e-4)


def test_the_equalizer_is_smooth_and_keeps_to_its_limits() -> None:
    config = NOTHING.model_copy(update={"equalizer_db": 10.0})
    loud = torch.zeros(200, 3, 40)  # a power of 1, far above the floor
    gain_db = change(loud, config, 0) * 10 / np.log(10)
    assert gain_db.abs().max() <= 10.0 and gain_db.std() > 3.0
    assert (gain_db[:, 0] - gain_db[:, 2]).abs().max() < 1e-4  # the same at all times
    assert gain_db.diff(dim=2).abs().max() < 20.0 / 9.75 + 1e-3  # four slopes of 9.75 bands each


@pytest.mark.parametrize("hertz", [400.0, 1000.0, 2500.0])
def test_a_longer_vocal_tract_moves_a_tone_to_where_a_lower_tone_lies(hertz: float) -> None:
    config = NOTHING.model_copy(update={"vocal_tract": 0.15})

    def bands(frequency: float) -> torch.Tensor:
        tone = 0.3 * np.sin(2 * np.pi * frequency * np.arange(16_000) / 16_000)
        return torch.from_numpy(log_mel(tone.astype(np.float32), FRONTEND)[50:51])

    changed = change(bands(hertz).expand(50, 1, -1), config, 5)
    peaks = changed[:, 0].argmax(dim=1).float()
    lowest, highest = (bands(hertz * factor)[0].argmax().item() for factor in (0.85, 1.15))
    assert lowest - 1 <= peaks.min() <= lowest + 1 and highest - 1 <= peaks.max() <= highest + 1
