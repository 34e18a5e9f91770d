"""SVOX Pico as an engine: the small voices of early Android telephones, one for each of six accents."""

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from wakeword.base.errors import UserError
from wakeword.engines import program
from wakeword.engines.speaker import KEY, Cast, Factors
from wakeword.engines.voice import Manner, Voice, VoicesConfig, chosen, drawn_manner

ENGINE = "pico"
PROGRAM = "pico2wave"
VOICES = ["de-DE", "en-GB", "en-US", "es-ES", "fr-FR", "it-IT"]
LICENCE = "Apache-2.0 (SVOX Pico)"


class PicoConfig(VoicesConfig):
    """How Pico speaks; see `VoicesConfig`. Its voices are called by their accents."""

    stretch: Factors = [0.75, 1.25]


def cast(config: PicoConfig, language: str, root: Path) -> Cast:
    """Return the voices, each of which draws a pace and a pitch for every utterance; nothing in `root` is read.

    Raises:
        UserError: Pico is not installed, or does not speak the language, or has no such voice.
    """
    program.require(PROGRAM, "libttspico-utils", ENGINE)
    known = [voice for voice in VOICES if voice.split("-")[0] == language.split("-")[0]]
    if not known:
        spoken = ", ".join(VOICES)
        raise UserError(f"params.yaml: pico speaks {spoken}, not '{language}'; set '{KEY}.{ENGINE}' to null")

    def draw(voice: str, rng: np.random.Generator) -> Voice:
        return Voice(ENGINE, f"{ENGINE}:{voice}", drawn_manner(voice, config, rng), write, licence=LICENCE)

    return Cast(chosen(ENGINE, config.voices, known), draw)


def write(manner: Manner, text: str, sound: Path) -> None:
    """Say a text into a WAV file; see `Voice.write`."""
    pace, pitch = round(100 / manner.stretch), round(100 * manner.pitch)
    marked = f'<speed level="{pace}"><pitch level="{pitch}">{escape(text)}</pitch></speed>'
    program.run([PROGRAM, "-l", manner.voice, "-w", str(sound), "--", marked])
