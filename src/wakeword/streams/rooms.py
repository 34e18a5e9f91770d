"""Rooms: applying an impulse response, and making up a plausible one where none was measured."""

import math
from dataclasses import dataclass

import numpy as np
import pyroomacoustics
from scipy.signal import oaconvolve

SAMPLE_RATE = 16_000

_SPEED_OF_SOUND = 343.0
_SABINE = 24 * math.log(10) / _SPEED_OF_SOUND
_ABSORPTION = (0.15, 0.95)  # of an echoing stairwell, of a padded booth
_FROM_WALL_M = 0.4
_MOST_REFLECTIONS = 30


Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A room with six flat walls, somebody in it, and a microphone; metres from one corner.

    `absorption` is the share of energy that a wall takes away, `reflections` how many in a row are followed.
    """

    size: Point
    source: Point
    microphone: Point
    absorption: float
    reflections: int


def draw_box(t60_s: float, rng: np.random.Generator) -> Box:
    """Draw a room whose reverberation time by Sabine's law is `t60_s`, as far as common walls can have it."""
    size = rng.uniform([2.5, 2.5, 2.3], [8.0, 8.0, 3.2])
    source, microphone = (rng.uniform(_FROM_WALL_M, size - _FROM_WALL_M) for _ in range(2))
    length, width, height = (float(side) for side in size)
    walls = 2 * (length * width + width * height + height * length)
    absorption = float(np.clip(_SABINE * length * width * height / (walls * t60_s), *_ABSORPTION))
    # So many reflections reach into every direction until the time is over.
    shortest = min(a * b / math.hypot(a, b) for a, b in ((length, width), (width, height), (height, length)))
    reflections = min(_MOST_REFLECTIONS, math.ceil(_SPEED_OF_SOUND * t60_s / shortest))
    return Box(_point(size), _point(source), _point(microphone), absorption, reflections)


def _point(values: np.ndarray) -> Point:
    return float(values[0]), float(values[1]), float(values[2])


def box_rir(box: Box) -> np.ndarray:
    """Compute a room's impulse response, `(samples,)` float32 with its peak at 1, by image sources.

    It begins with the direct sound, which is not always the strongest: reflections meet in corners.

    Source: Allen and Berkley, "Image method for efficiently simulating small-room acoustics", 1979, as in
    pyroomacoustics.
    """
    pyroomacoustics.constants.set("num_threads", 1)  # the order of a sum decides its last bits
    room = pyroomacoustics.ShoeBox(
        box.size, fs=SAMPLE_RATE, materials=pyroomacoustics.Material(box.absorption), max_order=box.reflections
    )
    room.add_source(box.source)
    room.add_microphone(box.microphone)
    room.compute_rir()
    travelled = round(math.dist(box.source, box.microphone) / _SPEED_OF_SOUND * SAMPLE_RATE)
    rir = np.asarray(room.rir[0][0])[travelled + pyroomacoustics.constants.get("frac_delay_length") // 2 :]
    loudest: np.ndarray = rir / np.abs(rir).max()
    return loudest.astype(np.float32)


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


def from_direct(rir: np.ndarray) -> np.ndarray:
    """Return a measured impulse response, `(m,)`, from its strongest sample on, taken for the direct path."""
    return rir[int(np.argmax(np.abs(rir))) :]


def reverberate(samples: np.ndarray, rir: np.ndarray) -> np.ndarray:
    """Put a recording in a room.

    The energy stays what it was: reflections would make who stands far away 10 dB louder, and clip.

    Args:
        samples: `(n,)` floats.
        rir: `(m,)` impulse response that begins with the direct path, so that the timing of the direct sound stays.

    Returns:
        `(n + m - 1,)` float32, the tail included.
    """
    wet: np.ndarray = oaconvolve(samples, rir)
    before, after = (float(np.sum(np.square(sound, dtype=np.float64))) for sound in (samples, wet))
    wet *= math.sqrt(before / after) if after else 0.0
    return wet.astype(np.float32)
