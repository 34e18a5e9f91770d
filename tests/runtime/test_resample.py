import math

import numpy as np
import pytest
import scipy.signal
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from wakeword.runtime.resample import Resampler

RATES = [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000]
ODD_RATES = [12_345, 16_008, 44_099, 44_101, 48_001, 96_096]  # have no small ratio to 16 kHz


def resampled(samples: np.ndarray, rate: int, pieces: int = 1) -> np.ndarray:
    resampler = Resampler(rate)
    parts = [resampler.process(part) for part in np.array_split(samples, pieces)]
    return np.concatenate([*parts, resampler.finish()])


def band_limited(rate: int, highest: float, seconds: float = 2.0) -> np.ndarray:
    """Return noise with nothing above `highest` Hz, `(samples,)` float32, fading in and out."""
    samples = round(rate * seconds)
    spectrum = np.fft.rfft(np.random.default_rng(rate).standard_normal(samples))
    spectrum[np.fft.rfftfreq(samples, 1 / rate) > highest] = 0
    noise = np.fft.irfft(spectrum, samples)
    return (0.3 * noise / noise.std() * np.hanning(samples)).astype(np.float32)


@pytest.mark.parametrize("rate", [*RATES, *ODD_RATES])
def test_as_soxr_does(rate: int) -> None:
    signal = band_limited(rate, min(6500.0, 0.4 * rate))
    expected = soxr.resample(signal, rate, 16_000, quality="VHQ")
    np.testing.assert_allclose(resampled(signal, rate), expected, atol=1e-3)


@pytest.mark.parametrize(("rate", "up", "down"), [(48_000, 1, 3), (8000, 2, 1), (44_100, 160, 441)])
def test_as_scipy_does(rate: int, up: int, down: int) -> None:
    signal = band_limited(rate, min(6000.0, 0.35 * rate))
    # scipy's own filter is short; a long one comes close to the ideal.
    widest = max(up, down)
    taps = scipy.signal.firwin(2 * 80 * widest + 1, 1 / widest, window=("kaiser", 9.0))
    expected = scipy.signal.resample_poly(signal.astype(np.float64), up, down, window=taps)
    np.testing.assert_allclose(resampled(signal, rate), expected, atol=1e-3)


@pytest.mark.parametrize("rate", [*RATES, *ODD_RATES])
def test_a_tone_stays_where_it_is(rate: int) -> None:
    frequency, seconds = 1000, 5
    tone = np.sin(2 * np.pi * (frequency * np.arange(rate * seconds) % rate) / rate).astype(np.float32)
    expected = np.sin(2 * np.pi * (frequency * np.arange(16_000 * seconds) % 16_000) / 16_000)
    result = resampled(tone, rate, pieces=3)
    assert len(result) == 16_000 * seconds
    np.testing.assert_allclose(result[400:-400], expected[400:-400], atol=2e-4)


@pytest.mark.parametrize("rate", [48_000, 48_001])
@pytest.mark.parametrize("frequency", [8100.0, 9000.0, 15_000.0, 23_000.0])
def test_what_16_khz_cannot_hold_is_removed(rate: int, frequency: float) -> None:
    tone = np.sin(2 * np.pi * frequency * np.arange(rate) / rate).astype(np.float32)
    assert np.abs(resampled(tone, rate)[1000:-1000]).max() < 3e-4


@settings(max_examples=30)
@given(st.sampled_from([8000, 44_100, 48_000, *ODD_RATES]), st.integers(0, 9000), st.integers(1, 40))
def test_chunks_and_lengths(rate: int, samples: int, pieces: int) -> None:
    signal = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    whole = resampled(signal, rate)
    assert len(whole) == math.ceil(samples * 16_000 / rate)
    np.testing.assert_allclose(resampled(signal, rate, pieces), whole, atol=1e-5)


def test_16_khz_passes_through() -> None:
    signal = band_limited(16_000, 8000.0)
    np.testing.assert_array_equal(resampled(signal, 16_000, pieces=3), signal)


@pytest.mark.parametrize("rate", [0, 999, 768_001])
def test_absurd_rates_are_refused(rate: int) -> None:
    with pytest.raises(ValueError, match=f"{rate} Hz"):
        Resampler(rate)
