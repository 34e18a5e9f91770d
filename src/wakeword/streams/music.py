"""Made-up music, for those who have no recordings: chords, a bass, a tune and a beat, in a loop of eight bars."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

SAMPLE_RATE = 16_000

_BARS, _BEATS = 8, 4
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))  # major, natural minor
_PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 0), (5, 3, 0, 4))  # degrees of a bar's chord
_A4_MIDI, _A4_HZ = 69, 440.0
_TUNE_PROBABILITY, _BEAT_PROBABILITY = 0.8, 0.6


@dataclass(frozen=True, slots=True)
class _Timbre:
    """An instrument: strengths of its harmonics, and seconds until a note is loud and until it has faded to 37 %."""

    harmonics: np.ndarray
    attack_s: float
    decay_s: float


def music(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return music that nobody composed, `(samples,)` float32 with a peak near 1; repeated to fill the length.

    Args:
        samples: the length.
        rng: decides key, tempo, chords, instruments, tune and beat.
    """
    beat_s = 60.0 / rng.uniform(60.0, 150.0)
    beats = min(_BARS * _BEATS, max(1, int(np.ceil(samples / SAMPLE_RATE / beat_s))))
    loop = np.zeros(int(beats * beat_s * SAMPLE_RATE))
    scale = _SCALES[int(rng.integers(len(_SCALES)))]
    chords = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    root = int(rng.integers(48, 60))
    _chords(loop, root, scale, chords, beat_s, rng)
    if rng.random() < _TUNE_PROBABILITY:
        _tune(loop, root, scale, beat_s, rng)
    if rng.random() < _BEAT_PROBABILITY:
        _beat(loop, beat_s, rng)
    loop /= np.abs(loop).max()
    return np.resize(loop, samples).astype(np.float32)


def _chords(
    loop: np.ndarray,
    root: int,
    scale: tuple[int, ...],
    chords: tuple[int, ...],
    beat_s: float,
    rng: np.random.Generator,
) -> None:
    """Add a triad and a bass note to each bar."""
    pad, bass = _timbre(rng, (0.02, 0.3), (0.5, 3.0)), _timbre(rng, (0.005, 0.03), (0.2, 0.8))
    bar_s = _BEATS * beat_s
    for bar in range(int(np.ceil(len(loop) / SAMPLE_RATE / bar_s))):
        degree = chords[bar % len(chords)]
        for step in (0, 2, 4):
            _add(loop, bar * bar_s, _note(_pitch(root, scale, degree + step), bar_s, pad))
        for beat in range(0, _BEATS, int(rng.integers(1, 3))):
            _add(loop, bar * bar_s + beat * beat_s, 1.5 * _note(_pitch(root - 24, scale, degree), beat_s, bass))


def _tune(loop: np.ndarray, root: int, scale: tuple[int, ...], beat_s: float, rng: np.random.Generator) -> None:
    """Add a tune that walks up and down the scale, in notes of half a beat to two."""
    lead = _timbre(rng, (0.005, 0.08), (0.15, 1.0))
    at_s, degree = 0.0, 7
    while at_s < len(loop) / SAMPLE_RATE:
        length_s = beat_s * float(rng.choice([0.5, 1.0, 2.0], p=[0.5, 0.4, 0.1]))
        degree = int(np.clip(degree + rng.integers(-2, 3), 3, 14))
        if rng.random() < 0.85:
            _add(loop, at_s, 1.5 * _note(_pitch(root, scale, degree), length_s, lead))
        at_s += length_s


def _beat(loop: np.ndarray, beat_s: float, rng: np.random.Generator) -> None:
    """Add a drum on one beat, a snare on the next, and a hat on every half."""
    for half in range(int(len(loop) / SAMPLE_RATE / beat_s * 2)):
        _add(loop, half * beat_s / 2, 0.4 * _hit(0.03, 5000.0, rng))
        if half % 4 == 0:
            time = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
            _add(
                loop,
                half * beat_s / 2,
                3.0 * np.sin(2 * np.pi * (50.0 * time - 4.0 * np.exp(-time / 0.03))) * _fall(time, 0.08),
            )
        elif half % 4 == 2:
            _add(loop, half * beat_s / 2, 1.5 * _hit(0.12, 1200.0, rng))


def _hit(decay_s: float, above_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Return a burst of noise above a frequency."""
    time = np.arange(int(4 * decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    burst = rng.standard_normal(len(time)) * _fall(time, decay_s)
    filtered: np.ndarray = sosfilt(butter(2, above_hz, "highpass", fs=SAMPLE_RATE, output="sos"), burst)
    return filtered


def _timbre(rng: np.random.Generator, attack_s: tuple[float, float], decay_s: tuple[float, float]) -> _Timbre:
    count = int(rng.integers(2, 9))
    strengths = rng.uniform(0.2, 1.0, size=count) / np.arange(1, count + 1) ** rng.uniform(0.7, 2.0)
    return _Timbre(strengths, rng.uniform(*attack_s), rng.uniform(*decay_s))


def _pitch(root: int, scale: tuple[int, ...], degree: int) -> float:
    """Return the frequency of a degree of a scale, equally tempered."""
    octave, step = divmod(degree, len(scale))
    return float(_A4_HZ * 2 ** ((root + 12 * octave + scale[step] - _A4_MIDI) / 12))


def _note(hz: float, seconds: float, timbre: _Timbre) -> np.ndarray:
    """Return a tone with its harmonics below 8 kHz, that begins and ends softly."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    orders = [order for order in range(1, len(timbre.harmonics) + 1) if hz * order < SAMPLE_RATE / 2]
    tone = np.sum([timbre.harmonics[k - 1] * np.sin(2 * np.pi * hz * k * time) for k in orders], axis=0)
    soft = np.minimum(1.0, np.minimum(time / timbre.attack_s, (seconds - time) / 0.02))
    shaped: np.ndarray = tone * np.maximum(soft, 0.0) * _fall(time, timbre.decay_s)
    return shaped


def _fall(time: np.ndarray, decay_s: float) -> np.ndarray:
    falling: np.ndarray = np.exp(-time / decay_s)
    return falling


def _add(loop: np.ndarray, at_s: float, sound: np.ndarray) -> None:
    heard = loop[int(at_s * SAMPLE_RATE) :][: len(sound)]
    heard += sound[: len(heard)]
