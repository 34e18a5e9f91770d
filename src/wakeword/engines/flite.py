"""flite as an engine: a program with four American and Scottish voices built in, and more in `.flitevox` files."""

from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import Field

from wakeword.base.errors import UserError
from wakeword.engines import program
from wakeword.engines.speaker import KEY, Cast, VoiceFile, arctic_group, ascii_letters
from wakeword.engines.voice import Manner, Voice, VoicesConfig, chosen, drawn_manner

ENGINE = "flite"
NOT_USED = {"kal": "kal16 at half the sample rate", "awb_time": "knows the words of a clock only"}
"""Voices that do not speak unless named in params, and why."""

_SAME_SPEAKER = {"kal": "kal16", "awb_time": "awb"}
_FIXED_PITCH = {"rms"}


class FliteConfig(VoicesConfig):
    """How flite speaks; see `VoicesConfig`.

    Attributes:
        voices: names that `flite -lv` lists, or .flitevox files below `data/voices`; null for all that are built in.
        pitch: as of every program; the voice rms has no other than its own.
    """

    voices: list[VoiceFile] | None = Field(None, min_length=1)


def cast(config: FliteConfig, language: str, root: Path) -> Cast:
    """Return the voices, each of which draws a pace and a pitch for every utterance.

    Raises:
        UserError: flite is not installed, does not speak the language, or has no such voice.
    """
    program.require(ENGINE, "flite")
    if language.split("-")[0] != "en":
        raise UserError(f"params.yaml: flite speaks English, not '{language}'; set '{KEY}.flite' to null")
    built_in = program.answer([ENGINE, "-lv"]).split(":", 1)[1].split()
    for voice in filter(is_file, config.voices or []):
        if not (root / voice).is_file():
            raise UserError(f"params.yaml: '{KEY}.flite.voices' names '{voice}', but {root / voice} is missing")
    # flite itself would take its first voice instead of one that it does not know, without a word.
    chosen(ENGINE, [voice for voice in config.voices or [] if not is_file(voice)], built_in)
    version = program.answer([ENGINE, "--version"], status=1).split("version: ", 1)[1].split()[0].removeprefix("flite-")

    def draw(voice: str, rng: np.random.Generator) -> Voice:
        manner = drawn_manner(voice, config, rng)
        if voice in _FIXED_PITCH:
            manner = replace(manner, pitch=1.0)
        return Voice(ENGINE, group(voice), manner, partial(write, str(root)), version)

    return Cast(config.voices or sorted(set(built_in) - set(NOT_USED)), draw)


def group(voice: str) -> str:
    """Return whose voice it is."""
    name = PurePosixPath(voice).stem
    return arctic_group(name) or f"{ENGINE}:{_SAME_SPEAKER.get(name, name)}"


def write(root: str, manner: Manner, text: str, sound: Path) -> None:
    """Say a text into a WAV file; see `Voice.write`. A voice that is a file lies below `root`."""
    voice = str(Path(root) / manner.voice) if is_file(manner.voice) else manner.voice
    how = ["--setf", f"duration_stretch={manner.stretch}", "--setf", f"f0_shift={manner.pitch}"]
    program.run([ENGINE, "-voice", voice, *how, "-t", ascii_letters(text), "-o", str(sound)])


def is_file(voice: str) -> bool:
    """Say whether a voice is a file rather than built into the program."""
    return voice.endswith(".flitevox")
