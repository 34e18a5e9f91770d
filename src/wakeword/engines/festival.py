"""festival as an engine: a program whose voices, of diphones or statistical, come as packages of their own."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from wakeword.base.errors import UserError
from wakeword.engines import program
from wakeword.engines.speaker import KEY, LICENCE, Cast, arctic_group, ascii_letters
from wakeword.engines.voice import Manner, Voice, VoicesConfig, chosen, drawn_manner

ENGINE = "festival"
PACKAGES = "festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts"

_MBROLA_LICENCE = "MBROLA database: not for products that are sold, without its owner's permission"
# The voice don reaches full scale at twice this.
_VOLUME = "0.5"
# People who lend their voice elsewhere, too, beside those of `arctic_group`.
_SAME_SPEAKER = {"kal_diphone": "flite:kal16", "en1_mbrola": "festival:rab_diphone"}
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


class FestivalConfig(VoicesConfig):
    """How festival speaks; see `VoicesConfig`.

    Attributes:
        voices: names that its `(voice.list)` gives; null for all of the language.
        pitch: as of every program; statistical voices have no other than their own.
    """


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
    version = program.answer([ENGINE, "--version"]).split("System: ", 1)[1].split(":")[0]

    def draw(voice: str, rng: np.random.Generator) -> Voice:
        manner = drawn_manner(voice, config, rng)
        if not has_pitch(voice):
            manner = replace(manner, pitch=1.0)
        return Voice(ENGINE, group(voice), manner, write, version, licence(voice))

    return Cast(chosen(ENGINE, config.voices, known), draw)


def group(voice: str) -> str:
    """Return whose voice it is."""
    return arctic_group(voice) or _SAME_SPEAKER.get(voice, f"{ENGINE}:{voice}")


def licence(voice: str) -> str:
    """Return under which licence what a voice says may be used."""
    return _MBROLA_LICENCE if voice.endswith("_mbrola") else LICENCE


def has_pitch(voice: str) -> bool:
    """Say whether a voice can speak higher or lower: those that are made of diphones can."""
    return voice.endswith(("_diphone", "_mbrola"))


def write(manner: Manner, text: str, sound: Path) -> None:
    """Say a text into a WAV file; see `Voice.write`."""
    settings = _STRETCH.format(stretch=manner.stretch, rate=round(1 / manner.stretch, 4))
    if has_pitch(manner.voice):
        settings += _PITCH.format(pitch=manner.pitch)
    folder = sound.parent
    (folder / "text").write_text(ascii_letters(text) + "\n")
    (folder / "manner.scm").write_text(f"(voice_{manner.voice})\n{settings}\n")
    how = ["-scale", _VOLUME, "-eval", str(folder / "manner.scm")]
    # At home elsewhere, a user's .festivalrc does not speak too.
    program.run(["text2wave", "-o", str(sound), *how, str(folder / "text")], home=folder)
