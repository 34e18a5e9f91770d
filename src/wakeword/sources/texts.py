"""The words of a text, and how what a recording says relates to the wake phrases."""

import re
import unicodedata
from collections.abc import Iterable

_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff]")
"""Letters of scripts that put no space between words: Thai, Lao, Burmese, Japanese, Chinese."""


def relate(text: str, phrases: Iterable[str]) -> tuple[str, str | None]:
    """Return how a text relates to the wake phrases, and to which.

    Returns:
        ("is", phrase), ("holds", phrase), ("part", phrase) where the text is some of the phrase's words in a row, or
        ("other", None). Case and punctuation do not count.
    """
    said = words_of(text)
    related: tuple[str, str | None] = ("other", None)
    for phrase in phrases:
        words = words_of(phrase)
        spaceless = _SPACELESS.search(phrase) is not None
        if said == words or (spaceless and "".join(said) == "".join(words)):
            return "is", phrase
        if _within(words, said) or (spaceless and "".join(words) in "".join(said)):
            related = "holds", phrase
        elif said and _within(said, words) and related[0] == "other":
            related = "part", phrase
    return related


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text in any script, case folded; an apostrophe parts words, as other punctuation does.

    Marks belong to their letter: without its vowel signs Hindi's "listen" would be its "army".
    """
    folded = unicodedata.normalize("NFC", text).casefold()
    return tuple("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded).split())


def _within(few: tuple[str, ...], many: tuple[str, ...]) -> bool:
    return any(many[start : start + len(few)] == few for start in range(len(many) - len(few) + 1))
