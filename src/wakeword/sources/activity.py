"""Finding where somebody speaks in a clip; for a positive, that is where its keyword lies."""

import itertools

import numpy as np
from scipy.signal import butter, sosfilt

FRAME = 160
"""Samples in a frame of 10 ms."""

_BELOW_PEAK_DB = 26.0
_ABOVE_FLOOR_DB = 8.0
_ABOVE_FLOOR_SHARE = 0.4
_FLOOR_PERCENTILE = 10
_CLICK_FRAMES = 4  # a click of under 30 ms touches at most so many frames
_NEAR_FRAMES = 10
_EDGE_FRAMES = 20
_PAUSE_FRAMES = 30
_MINOR_SHARE = 0.25
_RUMBLE = butter(2, 150.0, "highpass", fs=16_000, output="sos")


def active_interval(pcm: np.ndarray) -> tuple[int, int]:
    """Return where somebody speaks, as (start, end) in samples.

    Energies of 10 ms frames are compared with a threshold 26 dB below the clip's peak and some decibels above its noise
    floor, twice: pre-emphasized, which shows soft hisses beside vowels, and above 150 Hz alone, which shows vowels
    beside a loud hiss. Either says that somebody speaks. Clicks are no speech unless they touch it (a consonant's burst
    does), and lesser sounds far from the main one, such as a door after the keyword, are left out.

    Args:
        pcm: `(samples,)` int16 at 16 kHz.

    Returns:
        0 <= start <= end <= len(pcm). Where nothing stands out, in silence or in steady noise, roughly the whole.
    """
    frames = len(pcm) // FRAME
    if frames < 2:
        return 0, len(pcm)
    samples = pcm[: frames * FRAME].astype(np.float32)
    emphasized = samples - np.float32(0.9) * np.concatenate([samples[:1], samples[:-1]])
    heard = [_above_threshold(_levels(sound)) for sound in (emphasized, sosfilt(_RUMBLE, samples))]
    sustained, level = (np.maximum(*both) for both in zip(*heard, strict=True))

    spoken = _closed(sustained >= 0.0, _PAUSE_FRAMES)
    bounds = _runs(spoken)
    weights = [np.maximum(sustained[start:end], 0.0).sum() for start, end in bounds]
    main = [bound for bound, weight in zip(bounds, weights, strict=True) if weight >= _MINOR_SHARE * max(weights)]
    start, end = main[0][0], main[-1][1]
    # The median has rounded off bursts at the ends, such as a final "k"; sounds that touch the speech belong to it.
    for first, last in _runs(_closed(level >= 0.0, _NEAR_FRAMES)):
        if first < end and last > start:
            start, end = min(start, max(first, start - _EDGE_FRAMES)), max(end, min(last, end + _EDGE_FRAMES))
    return start * FRAME, len(pcm) if end == frames else end * FRAME


def _levels(samples: np.ndarray) -> np.ndarray:
    """Return the level of each frame in dB."""
    power = (samples.reshape(-1, FRAME) ** 2).mean(axis=1)
    return np.asarray(10 * np.log10(power + 0.1))


def _above_threshold(level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how many dB each frame lies above the threshold, without clicks and with them."""
    sustained = _median(level, 2 * _CLICK_FRAMES + 1)
    peak, floor = sustained.max(), np.percentile(sustained, _FLOOR_PERCENTILE)
    margin = min(_ABOVE_FLOOR_DB, _ABOVE_FLOOR_SHARE * (peak - floor))
    threshold = max(peak - _BELOW_PEAK_DB, floor + margin)
    return sustained - threshold, level - threshold


def _median(values: np.ndarray, width: int) -> np.ndarray:
    padded = np.pad(values, width // 2, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1))


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return [start, end) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _closed(mask: np.ndarray, gap: int) -> np.ndarray:
    """Return the mask with gaps of up to `gap` frames between two runs filled."""
    filled = mask.copy()
    bounds = _runs(mask)
    for (_, before), (after, _) in itertools.pairwise(bounds):
        if after - before <= gap:
            filled[before:after] = True
    return filled
