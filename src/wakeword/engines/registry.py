"""Which engines there are, and who of them speaks when."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from wakeword.base.params import Section
from wakeword.engines import espeak, festival, flite, kokoro, pico, piper, rhvoice
from wakeword.engines.espeak import EspeakConfig
from wakeword.engines.festival import FestivalConfig
from wakeword.engines.flite import FliteConfig
from wakeword.engines.kokoro import KokoroConfig
from wakeword.engines.pico import PicoConfig
from wakeword.engines.piper import PiperConfig
from wakeword.engines.rhvoice import RhvoiceConfig
from wakeword.engines.speaker import Cast, EngineConfig

ENGINES: dict[str, Callable[[Any, str, Path], Cast]] = {
    "espeak": espeak.cast,
    "flite": flite.cast,
    "festival": festival.cast,
    "piper": piper.cast,
    "kokoro": kokoro.cast,
    "rhvoice": rhvoice.cast,
    "pico": pico.cast,
}
"""What makes the cast of each key of `EnginesConfig`, from its section, the language and the folder of voices."""

# Its multiples, as those of the golden ratio, fall evenly on [0, 1), and fall independently of those.
_SILVER = math.sqrt(2)


class EnginesConfig(Section):
    """Which engines speak; null for one that does not. Their shares sum to 1, and so do their running shares.

    Attributes:
        espeak: espeak-ng, which comes with the package.
        flite: the program flite, where it is installed.
        festival: the program festival, where it is installed.
        piper: neural voices in files, spoken by the package piper-tts.
        kokoro: a neural network with 54 voices.
        rhvoice: the program RHVoice-test, where it is installed.
        pico: the program pico2wave, where it is installed.
    """

    espeak: EspeakConfig | None = Field(default_factory=EspeakConfig)
    flite: FliteConfig | None = None
    festival: FestivalConfig | None = None
    piper: PiperConfig | None = None
    kokoro: KokoroConfig | None = None
    rhvoice: RhvoiceConfig | None = None
    pico: PicoConfig | None = None

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if not self._used():
            raise ValueError("names no engine; set espeak to {share: 1.0}, or synthesis to null")
        for what, used in (("shares", self.shares()), ("running shares", self.running_shares())):
            if not math.isclose(sum(used.values()), 1, abs_tol=1e-6):
                told = ", ".join(f"{name} {share:g}" for name, share in used.items())
                raise ValueError(f"the {what} sum to {sum(used.values()):g} ({told}); make them sum to 1")
        return self

    def shares(self) -> dict[str, float]:
        """Return each engine's share of the utterances of a phrase, and of negatives that are as short."""
        return {name: section.share for name, section in self._used().items()}

    def running_shares(self) -> dict[str, float]:
        """Return each engine's share of running sentences, in the same order."""
        return {
            name: section.share if section.running_share is None else section.running_share
            for name, section in self._used().items()
        }

    def _used(self) -> dict[str, EngineConfig]:
        sections: dict[str, EngineConfig | None] = {name: getattr(self, name) for name in ENGINES}
        return {name: section for name, section in sections.items() if section}


def casts(config: EnginesConfig, language: str, root: Path) -> list[Cast]:
    """Return the cast of each engine that speaks, in the order of `config.shares()`.

    Raises:
        UserError: an engine is not there, or can't speak as configured.
    """
    return [ENGINES[name](getattr(config, name), language, root) for name in config.shares()]


def turns(shares: list[float], count: int) -> list[tuple[int, int]]:
    """Return which engine says each of `count` utterances, and how many it said before.

    More utterances leave the earlier ones as they were, and each engine keeps to its share from the first ones on.
    """
    points = (0.5 + np.arange(count) * _SILVER) % 1
    engines = np.searchsorted(np.cumsum(shares[:-1]), points, side="right")
    before = np.zeros(count, dtype=int)
    for engine in range(len(shares)):
        before[engines == engine] = np.arange(np.count_nonzero(engines == engine))
    return [(int(engine), int(number)) for engine, number in zip(engines, before, strict=True)]
