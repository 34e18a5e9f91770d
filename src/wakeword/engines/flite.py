"""flite as an engine: a program with four American and Scottish voices built in, and more in `.flitevox` files."""

import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import Field

from wakeword.base.errors import UserError
from wakeword.base.params import BelowRoot, Section
from wakeword.engines import program
from wakeword.engines.speaker import (
    KEY,
    LICENCE,
    Cast,
    Factors,
    Parameter,
    Said,
    Share,
    ascii_letters,
    drawn,
    phoneme_count,
)

ENGINE = "flite"
NOT_USED = {"kal": "kal16 at half the sample rate", "awb_time": "knows the words of a clock only"}
"""Voices that do not speak unless named in params, and why."""

_SAME_SPEAKER = {"kal": "kal16", "awb_time": "awb"}
_FIXED_PITCH = {"rms"}


class FliteConfig(Section):
    """How flite speaks.

    Attributes:
        share: of the utterances.
        voices: names that `flite -lv` lists, or .flitevox files below `ingest.root`; null for all that are built in.
        stretch: lowest and highest duration, as a factor of the voice's own.
        pitch: lowest and highest pitch, as a factor of the voice's own; the voice rms has no other than its own.
    """

    share: Share
    voices: list[BelowRoot] | None = Field(None, min_length=1)
    stretch: Factors = [0.85, 1.35]
    pitch: Factors = [0.85, 1.2]


@dataclass(frozen=True, slots=True)
class Flite:
    """A voice of flite; `root` is what a voice that is a file lies below, `version` that of the program."""

    voice: str
    stretch: float
    pitch: float
    root: str
    version: str

    engine = ENGINE
    licence = LICENCE

    @property
    def name(self) -> str:
        return f"{ENGINE} {self.voice}"

    @property
    def group(self) -> str:
        name = PurePosixPath(self.voice).stem
        return f"{ENGINE}:{_SAME_SPEAKER.get(name, name)}"

    @property
    def description(self) -> str:
        return f"{self.name} stretch={self.stretch:g} pitch={self.pitch:g}"

    @property
    def pace(self) -> float:
        return self.stretch

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {"voice": self.voice, "stretch": self.stretch, "pitch": self.pitch}

    def say(self, text: str, language: str) -> Said:
        """See `Speaker.say`."""
        voice = str(Path(self.root) / self.voice) if is_file(self.voice) else self.voice
        how = ["--setf", f"duration_stretch={self.stretch}", "--setf", f"f0_shift={self.pitch}"]
        with tempfile.TemporaryDirectory() as folder:
            sound = Path(folder) / "said.wav"
            program.run([ENGINE, "-voice", voice, *how, "-t", ascii_letters(text), "-o", str(sound)])
            samples, rate = program.read(sound)
        return Said(samples, rate, phoneme_count(text, language), f"{ENGINE} {self.version}")


def cast(config: FliteConfig, language: str, root: Path) -> Cast:
    """Return the voices, each of which draws a pace and a pitch for every utterance.

    Raises:
        UserError: flite is not installed, does not speak the language, or has no such voice.
    """
    program.require(ENGINE, "flite")
    if language.split("-")[0] != "en":
        raise UserError(f"params.yaml: flite speaks English, not '{language}'; set '{KEY}.flite' to null")
    built_in = program.answer([ENGINE, "-lv"]).split(":", 1)[1].split()
    for voice in config.voices or []:
        # flite itself would take its first voice instead, without a word.
        if is_file(voice) and not (root / voice).is_file():
            raise UserError(f"params.yaml: '{KEY}.flite.voices' names '{voice}', but {root / voice} is missing")
        if not is_file(voice) and voice not in built_in:
            listed = ", ".join(sorted(built_in))
            raise UserError(f"params.yaml: '{KEY}.flite.voices' names '{voice}'; there are {listed}")
    version = program.answer([ENGINE, "--version"], status=1).split("version: ", 1)[1].split()[0].removeprefix("flite-")

    def draw(voice: str, rng: np.random.Generator) -> Flite:
        stretch, pitch = drawn(config.stretch, rng), drawn(config.pitch, rng)
        return Flite(voice, stretch, 1.0 if voice in _FIXED_PITCH else pitch, str(root), version)

    return Cast(config.voices or sorted(set(built_in) - set(NOT_USED)), draw)


def is_file(voice: str) -> bool:
    """Say whether a voice is a file rather than built into the program."""
    return voice.endswith(".flitevox")
