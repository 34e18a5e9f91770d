"""Bringing audio of any sample rate to 16 kHz, a chunk at a time, with NumPy alone."""

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

SAMPLE_RATE = 16_000
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
_ZERO_CROSSINGS = 64
_STOPBAND_DB = 80.0
_LARGEST_STEP = 1000
_BATCH = 128


class Resampler:
    """Resamples one mono stream to 16 kHz by a Kaiser-windowed sinc: flat to 7.3 kHz, -80 dB from 8 kHz on.

    Rates whose ratio to 16 kHz has no denominator up to 1000 are taken for the nearest that has; that shifts time
    by less than 4 ms an hour.

    Args:
        rate: of the input, in Hz.

    Raises:
        ValueError: the rate is outside what makes sense for speech.
    """

    def __init__(self, rate: int) -> None:
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise ValueError(
                f"the sample rate is {rate} Hz; rates from {LOWEST_RATE} to {HIGHEST_RATE} can be resampled"
            )
        ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(_LARGEST_STEP)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._rate = rate
        self._taken = self._given = 0
        if ratio == 1:
            return
        self._matrix, self._advance, held = _product(self._up, self._down, rate)
        self._held = np.zeros(held, dtype=np.float32)

    def process(self, samples: np.ndarray) -> np.ndarray:
        """Take the next `(samples,)` float32 and return the output that they complete."""
        self._taken += len(samples)
        if self._up == self._down:
            return samples
        output = self._run(samples)
        self._given += len(output)
        return output

    def finish(self) -> np.ndarray:
        """Return the rest, as if silence followed; a stream of n samples gives `ceil(n * 16000 / rate)` in all."""
        if self._up == self._down:
            return np.zeros(0, dtype=np.float32)
        missing = -(-self._taken * SAMPLE_RATE // self._rate) - self._given
        return self._run(np.zeros(len(self._matrix) + self._advance, dtype=np.float32))[:missing]

    def _run(self, samples: np.ndarray) -> np.ndarray:
        joined = np.concatenate([self._held, samples.astype(np.float32)])
        width = len(self._matrix)
        batches = max((len(joined) - width) // self._advance + 1, 0)
        self._held = joined[batches * self._advance :].copy()
        if not batches:
            return np.zeros(0, dtype=np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(joined, width)[:: self._advance][:batches]
        product: np.ndarray = windows @ self._matrix
        return product.ravel()


def to_mono(block: np.ndarray) -> np.ndarray:
    """Return the mean of the channels of `(samples, channels)` float32, `(samples,)`; clipped at full scale, NaN is 0.

    A single NaN would spread through a resampler's filter.
    """
    mean: np.ndarray = np.nan_to_num(np.clip(block, -1.0, 1.0), nan=0.0).mean(axis=1, dtype=np.float32)
    return mean


@lru_cache(maxsize=16)
def _product(up: int, down: int, rate: int) -> tuple[np.ndarray, int, int]:
    """Return a matrix that makes a batch of outputs from one stretch of inputs, and two counts of inputs.

    These are from one batch to the next, and of the silence before the first. Streams of one rate share the matrix.
    """
    half = math.ceil(_ZERO_CROSSINGS * max(1.0, rate / SAMPLE_RATE))
    repeats = math.ceil(_BATCH / up)
    outputs = np.arange(repeats * up)
    base, phase = np.divmod(outputs * down, up)
    matrix = np.zeros((base[-1] + 2 * half, len(outputs)), dtype=np.float32)
    for column, filter_ in enumerate(_filters(phase / up, half, min(1.0, SAMPLE_RATE / rate))):
        matrix[base[column] : base[column] + 2 * half, column] = filter_
    matrix.flags.writeable = False
    return matrix, repeats * down, half - 1


def _filters(offsets: np.ndarray, half: int, bandwidth: float) -> np.ndarray:
    """Return `(len(offsets), 2 * half)` low-pass filters, one for each position between two input samples."""
    # Kaiser's design formulas (Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5.3).
    beta = 0.1102 * (_STOPBAND_DB - 8.7)
    transition = (_STOPBAND_DB - 7.95) / (14.36 * 2 * _ZERO_CROSSINGS)
    cutoff = bandwidth * (1.0 - transition)
    distance = np.arange(2 * half) - (half - 1) - offsets[:, None]
    window = np.i0(beta * np.sqrt(np.maximum(1.0 - (distance / half) ** 2, 0.0))) / np.i0(beta)
    filters = np.sinc(cutoff * distance) * window
    normalized: np.ndarray = filters / filters.sum(axis=1, keepdims=True)
    return normalized.astype(np.float32)
