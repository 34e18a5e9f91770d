"""festival as an engine: a program whose voices come as packages of their own, diphones and statistical models."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from wakeword.base.errors import UserError
from wakeword.base.params import Section, Text
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

ENGINE = "festival"
PACKAGES = "festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts"

# The people whom flite's voices are of, too: they must not be in train with one engine and in test with the other.
_SAME_SPEAKER = {
    "kal_diphone": "flite:kal16",
    "cmu_us_slt_arctic_hts": "flite:slt",
    "cmu_us_slt_arctic_clunits": "flite:slt",
    "cmu_us_rms_arctic_clunits": "flite:rms",
    "cmu_us_awb_arctic_clunits": "flite:awb",
}
_LANGUAGES = {"english": "en", "americanenglish": "en", "britishenglish": "en", "spanish": "es", "italian": "it"}

_LIST = (
    '(mapcar (lambda (v) (format t "%s %s\\n" v (cadr (assoc \'language (cadr (voice.description v)))))) (voice.list))'
)
# A statistical model knows neither of festival's own means for pace and pitch.
_STRETCH = """
(Parameter.set 'Duration_Stretch {stretch})
(if (symbol-bound? 'hts_engine_params) (set! hts_engine_params (cons (list "-r" {rate}) hts_engine_params)))"""
_PITCH = """
(define (shifted name) (list name (* {pitch} (cadr (assoc name int_lr_params)))))
(set! int_lr_params (append (list (shifted 'target_f0_mean) (shifted 'target_f0_std)) int_lr_params))"""


class FestivalConfig(Section):
    """How festival speaks.

    Attributes:
        share: of the utterances.
        voices: names that its `(voice.list)` gives; null for all of the language.
        stretch: lowest and highest duration, as a factor of the voice's own.
        pitch: lowest and highest pitch, as a factor of the voice's own; only voices of diphones have another than
            their own.
    """

    share: Share
    voices: list[Text] | None = Field(None, min_length=1)
    stretch: Factors = [0.85, 1.35]
    pitch: Factors = [0.85, 1.2]


@dataclass(frozen=True, slots=True)
class Festival:
    """A voice of festival; `version` is that of the program."""

    voice: str
    stretch: float
    pitch: float
    version: str

    engine = ENGINE
    licence = LICENCE

    @property
    def name(self) -> str:
        return f"{ENGINE} {self.voice}"

    @property
    def group(self) -> str:
        return _SAME_SPEAKER.get(self.voice, f"{ENGINE}:{self.voice}")

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
        manner = _STRETCH.format(stretch=self.stretch, rate=round(1 / self.stretch, 4))
        if _has_pitch(self.voice):
            manner += _PITCH.format(pitch=self.pitch)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "text").write_text(ascii_letters(text) + "\n")
            (folder / "manner.scm").write_text(f"(voice_{self.voice})\n{manner}\n")
            sound = folder / "said.wav"
            command = ["text2wave", "-o", str(sound), "-eval", str(folder / "manner.scm"), str(folder / "text")]
            program.run(command, home=folder)  # a user's .festivalrc must not speak too
            samples, rate = program.read(sound)
        return Said(samples, rate, phoneme_count(text, language), f"{ENGINE} {self.version}")


def cast(config: FestivalConfig, language: str, root: Path) -> Cast:
    """Return the voices, each of which draws a pace and a pitch for every utterance; nothing in `root` is read.

    Raises:
        UserError: festival is not installed, has no voice of the language, or no such voice.
    """
    program.require(ENGINE, PACKAGES)
    listed = dict(re.findall(r"^([\w-]+) (\w+)$", program.answer([ENGINE, "--pipe"], _LIST), re.MULTILINE))
    base = language.split("-")[0]
    known = sorted(voice for voice, name in listed.items() if _LANGUAGES.get(name, name) == base)
    if not known:
        raise UserError(
            f"params.yaml: festival has no voice for '{language}'; install one (for English, on Debian, "
            f"`apt-get install {PACKAGES}`), or set '{KEY}.festival' to null"
        )
    for voice in config.voices or []:
        if voice not in known:
            raise UserError(f"params.yaml: '{KEY}.festival.voices' names '{voice}'; there are {', '.join(known)}")
    version = program.answer([ENGINE, "--version"]).split("System: ", 1)[1].split(":")[0]

    def draw(voice: str, rng: np.random.Generator) -> Festival:
        stretch, pitch = drawn(config.stretch, rng), drawn(config.pitch, rng)
        return Festival(voice, stretch, pitch if _has_pitch(voice) else 1.0, version)

    return Cast(config.voices or known, draw)


def _has_pitch(voice: str) -> bool:
    return voice.endswith("_diphone")
