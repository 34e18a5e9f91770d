"""Rooms: applying an impulse response, and making up a plausible one where none was measured."""

import numpy as np
from scipy.signal import oaconvolve

SAMPLE_RATE = 16_000


def simulated_rir(t60_s: float, direct_to_reverberant_db: float, rng: np.random.Generator) -> np.ndarray:
    """Make up a room impulse response: a direct path, sparse early reflections, a diffuse exponential tail.

    Source of the tail: Polack's model of late reverberation as exponentially decaying Gaussian noise (thesis, 1988).

    Args:
        t60_s: time in which the tail falls by 60 dB.
        direct_to_reverberant_db: energy of the direct path over that of everything later.
        rng: draws reflections and tail.

    Returns:
        `(samples,)` float32; the direct path is sample 0 with amplitude 1.
    """
    samples = int(t60_s * SAMPLE_RATE) + 1
    time = np.arange(samples) / SAMPLE_RATE
    decay = 10.0 ** (-3.0 * time / t60_s)
    tail = rng.standard_normal(samples) * decay
    diffuse_from = int(0.02 * SAMPLE_RATE)
    tail[:diffuse_from] *= np.linspace(0.0, 1.0, diffuse_from)[:samples]
    for delay in rng.uniform(0.001, 0.02, size=8):
        position = int(delay * SAMPLE_RATE)
        if position < samples:
            tail[position] += rng.choice([-1.0, 1.0]) * 3.0 * decay[position]
    tail[0] = 0.0
    tail *= np.sqrt(10.0 ** (-direct_to_reverberant_db / 10.0) / np.sum(tail**2))
    tail[0] = 1.0
    return tail.astype(np.float32)


def reverberate(samples: np.ndarray, rir: np.ndarray) -> np.ndarray:
    """Put a recording in a room.

    Args:
        samples: `(n,)` floats.
        rir: `(m,)` impulse response; its strongest sample is the direct path and becomes time 0 with gain 1, so
            that neither timing nor loudness of the direct sound changes.

    Returns:
        `(n + m - 1 - peak,)` float32, the tail included.
    """
    peak = int(np.argmax(np.abs(rir)))
    direct = rir[peak:] / rir[peak]
    wet: np.ndarray = oaconvolve(samples, direct)
    return wet.astype(np.float32)
