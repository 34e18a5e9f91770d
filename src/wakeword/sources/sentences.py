"""Speech of the usual words of a language: sentences that mean nothing, with the melody of those that do, and words."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import wordfreq

WORDS = (3, 15)
_USUAL_WORDS = 5
# A synthesizer's voice falls at a full stop, rises at a question mark, and insists at an exclamation mark.
_ENDS, _END_SHARES = (".", "?", "!", ""), (0.6, 0.2, 0.1, 0.1)
_PAUSE_FROM_WORDS = 6
_PAUSE_PROBABILITY = 0.5
_TWO_KNOWN = 0.3
# Said alone, "the" and "of" are rare: words are drawn by the root of their share in sentences.
_ALONE_EXPONENT = 0.5
_ALONE_SHARES = (0.5, 0.35, 0.15)
# Plain frequencies spend half of an English sentence on the hundred most usual words, as people do; this spends 36 %,
# and 3500 sentences have 8 % more different runs of three phonemes.
_FREQUENCY_EXPONENT = 0.9

# espeak-ng's names of languages that wordfreq calls otherwise.
_OTHER_NAMES = {"bs": "sh", "cmn": "zh", "hr": "sh", "no": "nb", "sr": "sh"}


@dataclass(frozen=True)
class Vocabulary:
    """The usual words of a language.

    Attributes:
        words: most frequent first.
        shares: `(words,)` float64, how often each is drawn; they sum to 1.
        phonemes: of each word, in the main accent.
    """

    words: list[str]
    shares: np.ndarray
    phonemes: list[tuple[str, ...]]

    def draw(self, number: int, rng: np.random.Generator, exponent: float = 1.0) -> list[str]:
        """Return words, none of them twice as long as there are enough, by their shares to the power `exponent`."""
        again = bool(number > np.count_nonzero(self.shares))
        shares = self.shares**exponent
        chosen = rng.choice(len(self.words), size=number, p=shares / shares.sum(), replace=again)
        return [self.words[at] for at in chosen]


def sentence(vocabulary: Vocabulary, rng: np.random.Generator, known: Sequence[str] = ()) -> str:
    """Return 3 to 15 words with the stops that make a synthesizer pause and its voice fall, rise or insist.

    Args:
        vocabulary: where the words come from.
        rng: decides everything.
        known: what is to stand among them: one or two of these, at random places.
    """
    pieces = [known[int(at)] for at in rng.integers(len(known), size=1 + (rng.random() < _TWO_KNOWN))] if known else []
    number = int(rng.triangular(WORDS[0], _USUAL_WORDS, WORDS[1] + 1))
    words = vocabulary.draw(max(2, number - sum(len(piece.split()) for piece in pieces)), rng)
    for piece in pieces:
        words.insert(int(rng.integers(len(words) + 1)), piece)
    if len(words) >= _PAUSE_FROM_WORDS and rng.random() < _PAUSE_PROBABILITY:
        words[int(rng.integers(1, len(words) - 2))] += ","
    return " ".join(words) + str(rng.choice(_ENDS, p=_END_SHARES))


def words_alone(vocabulary: Vocabulary, rng: np.random.Generator) -> str:
    """Return one to three words, as long as a phrase is, that are not part of a sentence: what people call or answer.

    Args:
        vocabulary: where the words come from.
        rng: decides everything.
    """
    number = 1 + int(rng.choice(len(_ALONE_SHARES), p=_ALONE_SHARES))
    return " ".join(vocabulary.draw(number, rng, _ALONE_EXPONENT))


def shares_of(frequencies: np.ndarray) -> np.ndarray:
    """Return how often words of such frequencies are drawn; see `Vocabulary`."""
    weights = frequencies**_FREQUENCY_EXPONENT
    return np.asarray(weights / weights.sum())


def listed_as(language: str) -> str | None:
    """Return what `wordfreq` calls a language, if it has it; left alone, it would take English for Swahili."""
    base = language.lower().split("-")[0]
    name = _OTHER_NAMES.get(base, base)
    return name if name in wordfreq.available_languages() else None


def is_word(text: str) -> bool:
    """Say whether a text is a word, rather than a number, a symbol or a single letter of an alphabet."""
    if not all(unicodedata.category(letter)[0] in "LM" or letter in "'’" for letter in text):
        return False
    return len(text) > 1 or text.lower() == text.upper()
