"""The front-end against torchaudio and scipy, and its causality."""

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.signal import get_window

from wakeword.features.frontend import FFT_SIZE, HOP, WINDOW, FrontendConfig, hann_window, log_mel, mel_matrix

CONFIG = FrontendConfig()


def test_window_is_the_periodic_hann_window() -> None:
    assert np.allclose(hann_window(), get_window("hann", WINDOW), atol=1e-7)


def test_filters_are_those_of_torchaudio() -> None:
    expected = torchaudio.functional.melscale_fbanks(
        FFT_SIZE // 2 + 1, CONFIG.f_min_hz, CONFIG.f_max_hz, CONFIG.mels, 16_000, mel_scale="htk"
    )
    assert np.abs(mel_matrix(CONFIG) - expected.numpy()).max() < 1e-3  # rounded to half precision


def test_filters_survive_half_precision() -> None:
    filters = mel_matrix(CONFIG)
    assert np.array_equal(filters, filters.astype(np.float16).astype(np.float32))


def test_features_are_those_of_torchaudio() -> None:
    rng = np.random.default_rng(0)
    pcm = (rng.standard_normal(16_000) * 3000).astype(np.int16)
    transform = torchaudio.transforms.Spectrogram(FFT_SIZE, WINDOW, HOP, power=2.0, center=False)
    # torchaudio centres the window in the FFT, so it needs half their difference more on either side.
    spare = (FFT_SIZE - WINDOW) // 2
    padded = torch.from_numpy(np.pad(pcm / 32768, (WINDOW - HOP + spare, spare)).astype(np.float32))
    power = transform(padded).T.numpy()
    expected = np.log(power @ mel_matrix(CONFIG) + CONFIG.floor)
    assert np.abs(log_mel(pcm, CONFIG) - expected[:100]).max() < 1e-3


def test_float_and_int16_agree() -> None:
    pcm = (np.random.default_rng(1).standard_normal(4000) * 1000).astype(np.int16)
    assert np.allclose(log_mel(pcm, CONFIG), log_mel(pcm.astype(np.float32) / 32768, CONFIG), atol=1e-5)


@settings(max_examples=20)
@given(cut=st.integers(0, 40), seed=st.integers(0, 100))
def test_a_frame_never_sees_later_samples(cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pcm = (rng.standard_normal(40 * HOP) * 1000).astype(np.int16)
    changed = pcm.copy()
    changed[cut * HOP :] = 0
    assert np.array_equal(log_mel(pcm, CONFIG)[:cut], log_mel(changed, CONFIG)[:cut])


def test_a_long_recording_is_the_same_in_blocks() -> None:
    pcm = (np.random.default_rng(2).standard_normal(6100 * HOP) * 1000).astype(np.int16)
    whole = log_mel(pcm, CONFIG)
    late = log_mel(pcm[2950 * HOP :], CONFIG)
    assert np.allclose(whole[2953:], late[3:], atol=1e-5)


def test_silence_is_the_floor() -> None:
    assert np.allclose(log_mel(np.zeros(1600, np.int16), CONFIG), np.log(CONFIG.floor))


@pytest.mark.parametrize(
    "values", [{"f_min_hz": 5000.0, "f_max_hz": 4000.0}, {"mels": 128, "f_max_hz": 500.0}, {"floor": 0.0}]
)
def test_impossible_values_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        FrontendConfig(**values)


def test_fingerprint_changes_with_every_parameter() -> None:
    variants = [{"mels": 32}, {"f_min_hz": 80.0}, {"f_max_hz": 7000.0}, {"floor": 1e-5}]
    prints = {FrontendConfig(**values).fingerprint for values in [{}, *variants]}
    assert len(prints) == 5
