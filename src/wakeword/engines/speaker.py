"""What every engine gives: a cast of voices, and speakers, each a voice with a manner of speaking, that say a text."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from pydantic import AfterValidator, Field

from wakeword.base.params import Section, Text, inside
from wakeword.engines.espeak_library import phonemes, voices_of

KEY = "ingest.synthesis.engines"
"""Where the engines' sections stand in params.yaml, for messages that name a key."""

LICENCE = "synthesized, no third-party rights known"

Parameter = str | int | float


def rising(bounds: list[float]) -> list[float]:
    """Raise ValueError, which pydantic reports with the key, where a range has its higher end first."""
    if bounds[0] > bounds[1]:
        raise ValueError(f"the range {bounds} falls; put the lower value first")
    return bounds


def _below_voices(path: str) -> str:
    if not inside(path):
        raise ValueError("must lie below data/voices; put the file, or a link to it, there")
    return path


VoiceFile = Annotated[Text, AfterValidator(_below_voices)]
"""A file of one or more voices, relative to `data/voices`."""
Share = Annotated[float, Field(gt=0, le=1)]
Factors = Annotated[
    list[Annotated[float, Field(ge=0.25, le=4)]], Field(min_length=2, max_length=2), AfterValidator(rising)
]
"""Lowest and highest of a factor that multiplies what is usual."""
Amounts = Annotated[
    list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=2, max_length=2), AfterValidator(rising)
]
"""Lowest and highest of what there may be nothing of."""


# Made of the CMU ARCTIC recordings (Kominek and Black, 2003), by whoever: "cmu_us_slt_arctic_hts", "cmu_us_slt_cg".
_ARCTIC = re.compile(r"cmu_us_([a-z]+)(?:_(?:arctic|cg|clunits|hts)\w*)?")


def arctic_group(voice: str) -> str | None:
    """Return whose voice it is, for one that is named as those made of the CMU ARCTIC recordings are; else None.

    These people lend their voice to several engines, and must not be in train with one and in test with another.
    """
    made_of = _ARCTIC.fullmatch(voice)
    return f"flite:{made_of[1]}" if made_of else None


class EngineConfig(Section):
    """What every engine's section holds.

    Attributes:
        share: of the utterances of a phrase, and of negatives that are as short.
        running_share: of running sentences; null for the same.
    """

    share: Share
    running_share: Share | None = None


class CannotSay(Exception):
    """An engine can't say one text; the message says why. It costs that utterance."""


@dataclass(frozen=True, slots=True)
class Said:
    """What an engine gave: `(samples,)` int16 at `rate`, the number of phonemes in the text, its name and version."""

    samples: np.ndarray
    rate: int
    phonemes: int
    engine: str


class Speaker(Protocol):
    """A voice of an engine and how it is to speak: an immutable value that can be sent to another process."""

    @property
    def engine(self) -> str:
        """The engine's name, which the manifest gives as the clip's source."""

    @property
    def name(self) -> str:
        """The voice, for messages."""

    @property
    def group(self) -> str:
        """Whose voice it is, whatever is said however; splits keep groups apart."""

    @property
    def licence(self) -> str:
        """Under which its speech may be used."""

    @property
    def description(self) -> str:
        """Engine, voice and every parameter, in a line."""

    @property
    def pace(self) -> float:
        """How many times as long as at the engine's usual pace an utterance takes."""

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The voice and every parameter, for the manifest."""

    def say(self, text: str, language: str) -> Said:
        """Say a text; the same text gives the same samples in any process and any order.

        Raises:
            CannotSay: it can't say this text.
            ValueError: there is no such voice.
        """


@dataclass(frozen=True)
class Cast:
    """The voices that take turns, and how to draw the manner in which one of them speaks an utterance."""

    voices: Sequence[str]
    draw: Callable[[str, np.random.Generator], Speaker]


def drawn(bounds: Sequence[float], rng: np.random.Generator) -> float:
    """Return a factor between two, evenly on a logarithmic scale; three decimals, as it stands in the manifest."""
    return round(float(np.exp(rng.uniform(*np.log(bounds)))), 3)


def drawn_evenly(bounds: Sequence[float], rng: np.random.Generator) -> float:
    """Return a value between two, evenly; three decimals, as it stands in the manifest."""
    return round(float(rng.uniform(bounds[0], bounds[1])), 3)


def phoneme_count(text: str, language: str) -> int:
    """Return how many phonemes a text has in the usual accent of its language, by espeak-ng."""
    return len(phonemes([text], voices_of(language)[0])[0])


def ascii_letters(text: str) -> str:
    """Return a text as engines read it that know ASCII alone: without accents on letters.

    Raises:
        CannotSay: something else than accents would be lost.
    """
    decomposed = unicodedata.normalize("NFKD", text.replace("’", "'"))
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    if not plain.isascii():
        raise CannotSay(f"it reads plain Latin letters only, not {next(c for c in plain if not c.isascii())!r}")
    return plain
