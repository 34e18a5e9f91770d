"""RHVoice as an engine: a program with statistical voices, six of them English."""

from pathlib import Path

import numpy as np

from wakeword.base.errors import UserError
from wakeword.engines import program
from wakeword.engines.speaker import KEY, LICENCE, Cast, Factors, arctic_group, ascii_letters
from wakeword.engines.voice import Manner, Voice, VoicesConfig, chosen, drawn_manner

ENGINE = "rhvoice"
PROGRAM = "RHVoice-test"
PACKAGES = "rhvoice rhvoice-english"
FOLDER = Path("/usr/share/RHVoice/voices")
"""Where the packages put the voices; the program itself lists none."""

_LANGUAGES = {
    "en": "English",
    "eo": "Esperanto",
    "ky": "Kyrgyz",
    "mk": "Macedonian",
    "pl": "Polish",
    "pt": "Brazilian-Portuguese",
    "ru": "Russian",
    "sq": "Albanian",
    "tt": "Tatar",
    "uk": "Ukrainian",
}
# The CMU ARCTIC recordings that its voices are made of; flite's and festival's are, too.
_ARCTIC = {"alan": "cmu_us_awb", "bdl": "cmu_us_bdl", "clb": "cmu_us_clb", "slt": "cmu_us_slt"}
_LICENCES = {"evgeniy-eng": "CC-BY-NC-ND-4.0", "lyubov": "CC-BY-NC-ND-4.0"}


class RhvoiceConfig(VoicesConfig):
    """How RHVoice speaks; see `VoicesConfig`."""

    stretch: Factors = [0.75, 1.25]


def cast(config: RhvoiceConfig, language: str, root: Path) -> Cast:
    """Return the voices, each of which draws a pace and a pitch for every utterance; nothing in `root` is read.

    Raises:
        UserError: RHVoice is not installed, or has no such voice, or none of the language.
    """
    program.require(PROGRAM, PACKAGES, ENGINE)
    known = _voices(language)
    if not known:
        raise UserError(
            f"params.yaml: RHVoice has no voice for '{language}' in {FOLDER}; install one (for English, on Debian, "
            f"`apt-get install {PACKAGES}`), or set '{KEY}.{ENGINE}' to null"
        )

    def draw(voice: str, rng: np.random.Generator) -> Voice:
        return Voice(ENGINE, group(voice), drawn_manner(voice, config, rng), write, licence=licence(voice))

    return Cast(chosen(ENGINE, config.voices, known), draw)


def group(voice: str) -> str:
    """Return whose voice it is."""
    return arctic_group(_ARCTIC.get(voice, voice)) or f"{ENGINE}:{voice}"


def licence(voice: str) -> str:
    """Return under which licence what a voice says may be used."""
    return _LICENCES.get(voice, LICENCE)


def write(manner: Manner, text: str, sound: Path) -> None:
    """Say a text into a WAV file; see `Voice.write`."""
    how = ["-p", manner.voice, "-r", str(round(100 / manner.stretch)), "-t", str(round(100 * manner.pitch))]
    program.run([PROGRAM, *how, "-o", str(sound)], ascii_letters(text))


def _voices(language: str) -> list[str]:
    """Return the voices that speak a language, which a file in each one's folder names in English."""
    told = f"language={_LANGUAGES.get(language.split('-')[0])}"
    infos = {info.parent.name: info.read_text(encoding="utf-8") for info in FOLDER.glob("*/voice.info")}
    return sorted(name for name, info in infos.items() if told in info.splitlines())
