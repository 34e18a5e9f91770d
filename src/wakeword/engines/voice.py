"""A voice of a program that says a text slower or faster, higher or lower, and writes a WAV file."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from wakeword.base.errors import UserError
from wakeword.base.params import Text
from wakeword.engines import program
from wakeword.engines.speaker import KEY, LICENCE, EngineConfig, Factors, Parameter, Said, drawn, phoneme_count


class VoicesConfig(EngineConfig):
    """How a program speaks.

    Attributes:
        share, running_share: see `EngineConfig`.
        voices: their names; null for all of the language.
        stretch: lowest and highest duration, as a factor of the voice's own.
        pitch: lowest and highest pitch, as a factor of the voice's own.
    """

    voices: list[Text] | None = Field(None, min_length=1)
    stretch: Factors = [0.85, 1.35]
    pitch: Factors = [0.85, 1.2]


@dataclass(frozen=True, slots=True)
class Manner:
    """A voice, and how it is to speak: as factors of its own duration and pitch."""

    voice: str
    stretch: float
    pitch: float


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of a program with a manner of speaking: the `Speaker` of every engine that is a program.

    Attributes:
        engine: the engine's name.
        group: whose voice it is.
        manner: the voice and how it speaks.
        write: says a text in a manner into a WAV file, in a folder of its own, or raises CannotSay; a function of a
            module, or a partial of one.
        version: that of the program, where it tells.
        licence: under which its speech may be used.
    """

    engine: str
    group: str
    manner: Manner
    write: Callable[[Manner, str, Path], None]
    version: str = ""
    licence: str = LICENCE

    @property
    def name(self) -> str:
        return f"{self.engine} {self.manner.voice}"

    @property
    def description(self) -> str:
        return f"{self.name} stretch={self.manner.stretch:g} pitch={self.manner.pitch:g}"

    @property
    def pace(self) -> float:
        return self.manner.stretch

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {"voice": self.manner.voice, "stretch": self.manner.stretch, "pitch": self.manner.pitch}

    def say(self, text: str, language: str) -> Said:
        """See `Speaker.say`."""
        with tempfile.TemporaryDirectory() as folder:
            sound = Path(folder) / "said.wav"
            self.write(self.manner, text, sound)
            samples, rate = program.read(sound)
        return Said(samples, rate, phoneme_count(text, language), f"{self.engine} {self.version}".strip())


def drawn_manner(voice: str, config: VoicesConfig, rng: np.random.Generator) -> Manner:
    """Draw how a voice speaks an utterance."""
    return Manner(voice, drawn(config.stretch, rng), drawn(config.pitch, rng))


def chosen(engine: str, named: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Return the voices that are named in params, or all that are known.

    Raises:
        UserError: one that is named is not known.
    """
    for voice in named or []:
        if voice not in known:
            listed = ", ".join(sorted(known))
            raise UserError(f"params.yaml: '{KEY}.{engine}.voices' names '{voice}'; there are {listed}")
    return list(named or known)
