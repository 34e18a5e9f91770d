"""Measuring the pitch of speech, independently of what makes it."""

import numpy as np


def fundamental(pcm: np.ndarray) -> float:
    """The median pitch in Hz of the loud frames, by autocorrelation; `pcm` is at 16 kHz."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm.astype(float), 800)[::160]
    frames = frames[frames.std(axis=1) > 0.3 * frames.std(axis=1).max()]
    frames = frames - frames.mean(axis=1, keepdims=True)
    spectra = np.abs(np.fft.rfft(frames, 2048)) ** 2
    similarity = np.fft.irfft(spectra)[:, : 16000 // 60]
    similarity[:, : 16000 // 450] = -np.inf
    return float(np.median(16000 / similarity.argmax(axis=1)))
