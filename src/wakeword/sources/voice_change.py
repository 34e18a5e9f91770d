"""Making another speaker of a synthetic voice, with the WORLD vocoder: throat, pitch, melody, tempo and breath.

Morise, Yokomori and Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system for real-time applications",
2016, takes speech apart into pitch, spectral envelope and aperiodicity, and puts it together again.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pyworld
from pydantic import Field

from wakeword.base.params import Section
from wakeword.corpus.manifest import SAMPLE_RATE
from wakeword.engines.speaker import Amounts, Factors, drawn, drawn_evenly

_FRAME_MS = 5.0
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 600.0
_SILENT = 1e-12


class VoiceChangeConfig(Section):
    """How synthetic voices are made others; each range is the lowest and highest, 1 (breath: 0) the voice's own.

    Attributes:
        share: of the utterances that are changed.
        formants: factor of the formants' frequencies: above 1 a shorter vocal tract.
        pitch: factor of the pitch.
        melody: factor of the pitch's movements, in semitones about their middle.
        tempo: factor of the speed.
        breath: how much of each voiced sound becomes noise, at the highest frequency; none at the lowest.
    """

    share: float = Field(0.0, ge=0, le=1)
    formants: Factors = [0.85, 1.18]
    pitch: Factors = [0.75, 1.35]
    melody: Factors = [0.6, 1.5]
    tempo: Factors = [0.85, 1.2]
    breath: Amounts = [0.0, 0.5]


@dataclass(frozen=True, slots=True)
class VoiceChange:
    """What is changed of a voice; the attributes are those of `VoiceChangeConfig`."""

    formants: float = 1.0
    pitch: float = 1.0
    melody: float = 1.0
    tempo: float = 1.0
    breath: float = 0.0

    @property
    def description(self) -> str:
        return " ".join(f"{name}={value:g}" for name, value in asdict(self).items())

    @property
    def parameters(self) -> dict[str, float]:
        """What the manifest says of it."""
        return {f"change_{name}": value for name, value in asdict(self).items()}


def draw(config: VoiceChangeConfig, rng: np.random.Generator) -> VoiceChange | None:
    """Return the change of one utterance, or None for one that stays as it is."""
    if rng.random() >= config.share:
        return None
    return VoiceChange(
        formants=drawn(config.formants, rng),
        pitch=drawn(config.pitch, rng),
        melody=drawn(config.melody, rng),
        tempo=drawn(config.tempo, rng),
        breath=drawn_evenly(config.breath, rng),
    )


def changed(pcm: np.ndarray, change: VoiceChange) -> np.ndarray:
    """Return the samples as another speaker would have said them, as loud at their loudest.

    Args:
        pcm: `(samples,)` int16 at 16 kHz.
        change: what to change.

    Returns:
        `(samples / change.tempo,)` int16 at 16 kHz, to within a frame of 5 ms; the same in any process.
    """
    peak = int(np.abs(pcm.astype(np.int32)).max(initial=0))
    if peak == 0:
        return pcm
    samples = pcm.astype(np.float64) / 32768
    coarse, times = pyworld.dio(samples, SAMPLE_RATE, f0_floor=_LOWEST_HZ, f0_ceil=_HIGHEST_HZ, frame_period=_FRAME_MS)
    f0 = pyworld.stonemask(samples, coarse, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(samples, f0, times, SAMPLE_RATE)
    noise = pyworld.d4c(samples, f0, times, SAMPLE_RATE)
    envelope, noise = _stretched(envelope, change.formants), _stretched(noise, change.formants)
    noise += change.breath * np.linspace(0, 1, noise.shape[1]) * (1 - noise)
    frame_ms = _FRAME_MS / change.tempo
    spoken = pyworld.synthesize(_sung(f0, change), np.maximum(envelope, _SILENT), noise, SAMPLE_RATE, frame_ms)
    spoken = spoken[: round(len(pcm) / change.tempo)]
    return np.asarray(np.round(spoken * (peak / max(np.abs(spoken).max(), 1e-9))), dtype=np.int16)


def _sung(f0: np.ndarray, change: VoiceChange) -> np.ndarray:
    """Return the pitch in Hz, `(frames,)` and 0 where there is none, as the change wants it."""
    voiced = f0 > 0
    if not voiced.any():
        return f0
    middle = np.median(f0[voiced])
    sung = np.zeros_like(f0)
    sung[voiced] = change.pitch * middle * (f0[voiced] / middle) ** change.melody
    return np.asarray(np.clip(sung, 0, 1.5 * _HIGHEST_HZ))


def _stretched(spectra: np.ndarray, factor: float) -> np.ndarray:
    """Return `(frames, bins)` spectra with every frequency multiplied; what lay highest fills up what is missing."""
    bins = np.arange(spectra.shape[1])
    wanted = np.minimum(bins / factor, bins[-1])
    below = np.minimum(wanted.astype(int), bins[-1] - 1)
    part = wanted - below
    return np.ascontiguousarray(spectra[:, below] * (1 - part) + spectra[:, below + 1] * part)
