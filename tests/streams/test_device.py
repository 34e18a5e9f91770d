"""Devices: what each takes from the sound, and that nothing is moved in time."""

import numpy as np
import pytest
from scipy.signal import welch

from tests.sounds import tone
from wakeword.streams.config import AugmentConfig
from wakeword.streams.device import Device, draw_device, recorded
from wakeword.streams.noise import rms

RATE = 16_000


def noise(seconds: float = 4.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(1).standard_normal(int(seconds * RATE))).astype(np.float32)


def level_db(sound: np.ndarray, low: float, high: float) -> float:
    """Return the mean power density between two frequencies."""
    frequencies, power = welch(sound, RATE, nperseg=2048)
    return float(10 * np.log10(power[(frequencies >= low) & (frequencies <= high)].mean()))


def lag(sound: np.ndarray, reference: np.ndarray) -> int:
    """Return by how many samples `sound` comes later."""
    size = 2 * len(sound)
    both = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(reference, size)))
    at = int(np.argmax(np.abs(both)))
    return at if at < size // 2 else at - size


def test_a_true_device_changes_nothing() -> None:
    sound = noise()
    assert np.array_equal(recorded(sound, Device(), len(sound)), sound)


def test_a_band_is_cut_out_at_its_edges() -> None:
    sound = noise()
    narrow = recorded(sound, Device(band_hz=(300.0, 3400.0, 24)), len(sound))
    assert level_db(narrow, 600, 2500) == pytest.approx(level_db(sound, 600, 2500), abs=0.5)
    assert level_db(narrow, 290, 310) == pytest.approx(level_db(sound, 290, 310) - 3.0, abs=1.5)  # a filter's edge
    assert level_db(narrow, 6700, 6900) < level_db(sound, 6700, 6900) - 24
    assert level_db(narrow, 140, 160) < level_db(sound, 140, 160) - 20


def test_a_telephone_ends_at_4_khz_and_has_8_bits() -> None:
    sound = noise()
    heard = recorded(sound, Device(codec_kbps=0), len(sound))
    assert heard.shape == sound.shape and lag(heard, sound) == 0
    assert level_db(heard, 5000, 8000) < level_db(sound, 5000, 8000) - 40
    # µ-law has a signal-to-noise ratio of about 38 dB whatever the level (ITU-T G.711), within 6 dB at these.
    for amplitude in (0.5, 0.02):
        spoken = tone(2.0, frequency=997.0, amplitude=amplitude).astype(np.float32)
        error = (recorded(spoken, Device(codec_kbps=0), len(spoken)) - spoken)[1000:-1000]
        assert 30 < 20 * np.log10(rms(spoken) / rms(error)) < 44


@pytest.mark.parametrize("kbps", [8, 16, 64])
def test_an_mp3_stays_in_place_and_loses_more_at_a_lower_rate(kbps: int) -> None:
    sound = noise()
    heard = recorded(sound, Device(codec_kbps=kbps), len(sound))
    assert heard.shape == sound.shape and heard.dtype == np.float32 and lag(heard, sound) == 0
    assert level_db(heard, 7500, 8000) < level_db(sound, 7500, 8000) - (1 if kbps == 64 else 20)
    assert level_db(heard, 300, 2000) == pytest.approx(level_db(sound, 300, 2000), abs=2.0)


@pytest.mark.parametrize("skew", [1e-3, -1e-3])
def test_a_skewed_clock_moves_the_pitch_by_as_much(skew: float) -> None:
    samples = 20 * RATE
    world = tone((1 + skew) * 20.0 + 0.01, frequency=1000.0).astype(np.float32)
    heard = recorded(world, Device(skew=skew), samples)
    assert len(heard) == samples
    wanted = tone(20.0, frequency=1000.0 * (1 + skew))
    assert np.abs(heard - wanted)[100:-100].max() < 0.01


def test_the_draw_follows_the_config_and_the_generator() -> None:
    augment = AugmentConfig(band_probability=0.3, codec_probability=0.2, telephone_share=0.25, skew_probability=0.5)
    drawn = [draw_device(augment, np.random.default_rng(seed)) for seed in range(2000)]
    assert drawn[7] == draw_device(augment, np.random.default_rng(7))
    assert np.mean([device.band_hz is not None for device in drawn]) == pytest.approx(0.3, abs=0.04)
    coded = [device.codec_kbps for device in drawn if device.codec_kbps is not None]
    assert len(coded) / 2000 == pytest.approx(0.2, abs=0.04)
    assert np.mean([kbps == 0 for kbps in coded]) == pytest.approx(0.25, abs=0.08)
    assert {kbps for kbps in coded if kbps} == {16, 24, 32, 40, 48, 56, 64}
    skews = np.array([device.skew for device in drawn if device.skew])
    assert len(skews) / 2000 == pytest.approx(0.5, abs=0.04)
    assert np.abs(skews).max() <= 1e-3 and abs(skews.mean()) < 1e-4
    off = AugmentConfig(band_probability=0.0, codec_probability=0.0, skew_probability=0.0)
    assert draw_device(off, np.random.default_rng(1)) == Device()
