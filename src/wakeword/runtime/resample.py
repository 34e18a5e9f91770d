"""Bringing audio of any sample rate to 16 kHz, a chunk at a time, with NumPy alone."""

import math
from functools import lru_cache

import numpy as np

SAMPLE_RATE = 16_000
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
_ZERO_CROSSINGS = 64
_STOPBAND_DB = 80.0
_LARGEST_STEP = 1000
_BATCH = 128
_POSITIONS = 512  # halfway between two of them, a straight line is 1e-5 off at most


class Resampler:
    """Resamples one mono stream to 16 kHz by a Kaiser-windowed sinc: flat to 7.3 kHz, -80 dB from 8 kHz on.

    Time does not drift at any rate. Where the outputs' places between two inputs recur after at most 1000 inputs, each
    has a filter of its own. At other rates, 44101 Hz for one, it is interpolated, at two or three times the cost.

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
        shared = math.gcd(SAMPLE_RATE, rate)
        self._up, self._down = SAMPLE_RATE // shared, rate // shared
        self._rate = rate
        self._taken = self._given = 0
        self._half = math.ceil(_ZERO_CROSSINGS * max(1.0, rate / SAMPLE_RATE))
        self._held = np.zeros(self._half - 1, dtype=np.float32)
        self._next = 0  # where the next output lies, from the start of what is held on, in 1 / up of an input

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
        # Enough for the last output's filter, and for a whole batch of outputs.
        silence = 2 * self._half + math.ceil(_BATCH / self._up) * self._down
        return self._run(np.zeros(silence, dtype=np.float32))[:missing]

    def _run(self, samples: np.ndarray) -> np.ndarray:
        joined = np.concatenate([self._held, samples.astype(np.float32)])
        return self._multiplied(joined) if self._down <= _LARGEST_STEP else self._interpolated(joined)

    def _multiplied(self, joined: np.ndarray) -> np.ndarray:
        matrix, advance = _product(self._up, self._down, self._half, self._rate)
        width = len(matrix)
        batches = max((len(joined) - width) // advance + 1, 0)
        self._held = joined[batches * advance :].copy()
        if not batches:
            return np.zeros(0, dtype=np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(joined, width)[::advance][:batches]
        product: np.ndarray = windows @ matrix
        return product.ravel()

    def _interpolated(self, joined: np.ndarray) -> np.ndarray:
        filters = _table(self._half, self._rate)
        width = filters.shape[1]
        count = max(((len(joined) - width + 1) * self._up - 1 - self._next) // self._down + 1, 0)
        output = np.zeros(count, dtype=np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(joined, width) if count else joined
        for first in range(0, count, _BATCH):
            outputs = np.arange(first, min(first + _BATCH, count), dtype=np.int64)
            base, between = np.divmod(self._next + outputs * self._down, self._up)
            place, rest = np.divmod(between * _POSITIONS, self._up)
            share = (rest / self._up).astype(np.float32)[:, None]
            weights = filters[place] * (1 - share) + filters[place + 1] * share
            output[outputs] = (windows[base] * weights).sum(axis=1)
        self._next += count * self._down
        used = min(self._next // self._up, len(joined))
        self._held = joined[used:].copy()
        self._next -= used * self._up
        return output


def to_mono(block: np.ndarray) -> np.ndarray:
    """Return the mean of the channels of `(samples, channels)` float32, `(samples,)`; clipped at full scale, NaN is 0.

    A single NaN would spread through a resampler's filter.
    """
    mean: np.ndarray = np.nan_to_num(np.clip(block, -1.0, 1.0), nan=0.0).mean(axis=1, dtype=np.float32)
    return mean


@lru_cache(maxsize=16)
def _product(up: int, down: int, half: int, rate: int) -> tuple[np.ndarray, int]:
    """Return a matrix that makes a batch of outputs from one stretch of inputs, and the inputs from one to the next.

    Streams of one rate share the matrix.
    """
    repeats = math.ceil(_BATCH / up)
    outputs = np.arange(repeats * up)
    base, phase = np.divmod(outputs * down, up)
    matrix = np.zeros((base[-1] + 2 * half, len(outputs)), dtype=np.float32)
    for column, filter_ in enumerate(_filters(phase / up, half, min(1.0, SAMPLE_RATE / rate))):
        matrix[base[column] : base[column] + 2 * half, column] = filter_
    matrix.flags.writeable = False
    return matrix, repeats * down


@lru_cache(maxsize=4)
def _table(half: int, rate: int) -> np.ndarray:
    """Return the filters for so many positions from one input to the next, both included."""
    table = _filters(np.arange(_POSITIONS + 1) / _POSITIONS, half, min(1.0, SAMPLE_RATE / rate))
    table.flags.writeable = False
    return table


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
