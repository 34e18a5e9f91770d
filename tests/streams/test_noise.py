"""Made-up backgrounds: as loud as asked, unlike one another where they should be, and the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from tests.sounds import word
from wakeword.streams.music import music
from wakeword.streams.noise import MADE_UP, MadeUp, babble, clicks, coloured, fan, generated, hum, rms

RATE = 16_000
SECONDS = 6
VOICES = [word(2.0, seed).astype(np.float32) for seed in range(10)]


def made(kind: MadeUp, seed: int, samples: int = SECONDS * RATE) -> np.ndarray:
    return generated(kind, samples, VOICES, np.random.default_rng(seed))


def spectrum(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    frequencies, power = welch(sound, RATE, nperseg=8192)
    return frequencies, power / power.sum()


def loudness(sound: np.ndarray, frame_s: float = 0.01) -> np.ndarray:
    """Return the RMS of each frame."""
    frame = int(frame_s * RATE)
    return np.sqrt((sound[: len(sound) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1))


@settings(max_examples=30)
@given(st.sampled_from(MADE_UP), st.integers(0, 2**32), st.integers(160, 3 * RATE))
def test_level_length_and_type(kind: MadeUp, seed: int, samples: int) -> None:
    sound = made(kind, seed, samples)
    assert sound.shape == (samples,) and sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert rms(sound) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("kind", MADE_UP)
def test_a_seed_gives_the_same_bytes_and_another_other_ones(kind: MadeUp) -> None:
    assert np.array_equal(made(kind, 3), made(kind, 3))
    first, other = made(kind, 3), made(kind, 4)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.5


@pytest.mark.parametrize("kind", MADE_UP)
def test_peaks_are_not_so_far_above_the_level_that_they_would_clip(kind: MadeUp) -> None:
    assert max(np.abs(made(kind, seed)).max() for seed in range(12)) < 30.0


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_colour_is_the_slope_of_the_spectrum(exponent: float) -> None:
    frequencies, power = spectrum(coloured(20 * RATE, exponent, np.random.default_rng(1)))
    kept = (frequencies > 100) & (frequencies < 6000)
    slope = np.polyfit(np.log(frequencies[kept]), np.log(power[kept]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.05)


def test_hum_is_a_low_tone_and_its_harmonics() -> None:
    for seed in range(6):
        frequencies, power = spectrum(hum(SECONDS * RATE, np.random.default_rng(seed)))
        assert power[(frequencies > 40) & (frequencies < 2300)].sum() > 0.99
        assert np.sort(power)[::-1][: 12 * 5].sum() > 0.95  # lines, not a band


def test_a_fan_is_low_noise_without_a_tone() -> None:
    for seed in range(6):
        frequencies, power = spectrum(fan(SECONDS * RATE, np.random.default_rng(seed)))
        assert power[frequencies < 3000].sum() > 0.5
        assert power.max() < 0.1


def test_clicks_are_short_and_mostly_silence_lies_between() -> None:
    for seed in range(6):
        levels = loudness(clicks(SECONDS * RATE, np.random.default_rng(seed)))
        assert np.median(levels) < 0.1 * levels.max()
        onsets = np.count_nonzero((levels[1:] > 0.2 * levels.max()) & (levels[:-1] < 0.1 * levels.max()))
        assert SECONDS / 1.5 * 0.5 <= onsets <= SECONDS / 0.07


def test_babble_is_of_the_voices_it_is_given() -> None:
    """Tones stand in for voices: all that is heard are theirs, several at once."""
    tones = [np.sin(2 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32) for hz in (500, 900, 1700, 3100)]
    frequencies, power = spectrum(babble(tones, SECONDS * RATE, np.random.default_rng(2)))
    heard = [power[np.abs(frequencies - hz) < 20].sum() for hz in (500, 900, 1700, 3100)]
    assert sum(heard) > 0.98 and min(heard) > 0.02


def test_without_anybody_to_babble_there_is_noise() -> None:
    sound = generated("babble", RATE, [np.zeros(100, dtype=np.float32)], np.random.default_rng(1))
    assert rms(sound) == pytest.approx(1.0, abs=1e-3)


def test_music_has_tones_of_the_scale_and_a_beat() -> None:
    """Nearly all its tones lie within a quarter of a semitone of the tempered scale at 440 Hz."""
    for seed in range(6):
        sound = music(16 * RATE, np.random.default_rng(seed))
        assert np.abs(sound).max() == pytest.approx(1.0, abs=1e-3)
        frequencies, power = welch(sound, RATE, nperseg=32768)
        tonal = (frequencies > 120) & (frequencies < 700)
        strongest = frequencies[tonal][np.argsort(power[tonal])[::-1][:6]]
        semitones = 12 * np.log2(strongest / 440.0)
        assert np.abs(semitones - np.round(semitones)).max() < 0.25
        levels = loudness(sound, 0.02)
        assert levels.std() > 0.1 * levels.mean()


def test_long_music_is_its_loop_again() -> None:
    sound = music(90 * RATE, np.random.default_rng(1))
    ends = [n for n in range(12 * RATE, 33 * RATE) if np.array_equal(sound[n : n + 50], sound[:50])]
    assert len(ends) == 1 and np.array_equal(sound[ends[0] :], sound[: len(sound) - ends[0]])
