"""How what a recording says relates to the wake phrases."""

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
    said = _words(text)
    related: tuple[str, str | None] = ("other", None)
    for phrase in phrases:
        words = _words(phrase)
        if said == words:
            return "is", phrase
        if _within(words, said) or (_SPACELESS.search(phrase) and "".join(words) in "".join(said)):
            related = "holds", phrase
        elif said and _within(said, words) and related[0] == "other":
            related = "part", phrase
    return related


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", unicodedata.normalize("NFC", text).casefold())


def _within(few: list[str], many: list[str]) -> bool:
    return any(many[start : start + len(few)] == few for start in range(len(many) - len(few) + 1))
