"""Speech of the usual words of a language: sentences that mean nothing, with the melody of those that do, and words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
