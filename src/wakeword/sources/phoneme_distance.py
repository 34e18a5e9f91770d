"""How different two phonemes sound: by where and how the mouth makes them, in any language that IPA can write.

Counting every replaced phoneme alike, as Levenshtein did, puts "snow boy" as near to "snow toy" as to "snow joy".
Weighting by articulatory features is common for words that may be confused (Kondrak, "A new algorithm for the alignment
of phonetic sequences", 2000); the features are those of the chart of the International Phonetic Association.
"""

import unicodedata
from functools import cache

import numpy as np

# Vowels from close (0) to open (6); in each row front, central and back ones, each without and with rounded lips.
_CHART = ("i y ɨ ʉ ɯ u", "ɪ ʏ - - - ʊ", "e ø ɘ ɵ ɤ o", "- - ə - - -", "ɛ œ ɜ ɞ ʌ ɔ", "æ - ɐ - - -", "a ɶ ä - ɑ ɒ")
_VOWELS = {
    letter: (height, column // 2, column % 2)
    for height, row in enumerate(_CHART)
    for column, letter in enumerate(row.split())
    if letter != "-"
}
_VOWELS |= {"ɚ": _VOWELS["ə"], "ɝ": _VOWELS["ɜ"]}
_VOWELS |= {"ᵻ": _VOWELS["ɪ"], "ε": _VOWELS["ɛ"]}  # espeak-ng's for reduced vowels of American English, and in Danish
# Consonants from the lips (0) to the glottis (10), and how each is made.
_PLACES = ("p b", "ɸ β", "f v", "θ ð", "t d s z n l r ɾ ɹ", "ʃ ʒ ʂ ʐ ʈ ɖ ɭ ɻ", "c ɟ ɕ ʑ ç ʝ ɲ ʎ j", "k ɡ g x ɣ ŋ ɫ w")
_PLACE = {letter: place for place, row in enumerate(_PLACES) for letter in row.split()}
_PLACE |= {"m": 0, "ʋ": 2, "ɱ": 2, "ɥ": 6, "ɰ": 7, "q": 8, "ɢ": 8, "χ": 8, "ʁ": 8, "ʀ": 8, "ɴ": 8, "ħ": 9, "ʕ": 9}
_PLACE |= {"h": 10, "ɦ": 10, "ɽ": 5, "ɬ": 4, "ɮ": 4, "ʍ": 7}
_MANNERS = ("pbtdʈɖcɟkɡgqɢ", "ɸβfvθðszʃʒʂʐɕʑçʝxɣχʁħʕhɦɬɮ", "mɱnɲŋɴ", "lɭʎɫ", "rɾɹɻɽʀ", "jwʋɥɰʍ")
_MANNER = {letter: manner for manner, row in enumerate(_MANNERS) for letter in row}
_VOICELESS = frozenset("pɸfθtsʃʂʈcɕçkxqχħhɬʍ")
_GLIDES = {"j": "i", "ɥ": "y", "w": "u", "ʍ": "u", "ɰ": "ɯ", "ɹ": "ɚ", "ɻ": "ɚ"}

_HEIGHT, _BACKNESS, _ROUNDING = 0.6, 0.25, 0.15
_PLACED, _MADE, _VOICED = 0.4, 0.4, 0.2
_FAR = 4  # places apart are as far as any
_GLIDE = 0.4  # from a glide to the vowel that it glides from
_MARKED = 0.2  # tone, palatalization, aspiration, nasality
_LEAST = 0.05


@cache
def difference(one: str, other: str) -> float:
    """Return how different two phonemes sound: 0 for the same, at most 1; symmetric.

    Args:
        one: IPA, as `espeak_library.phonemes` gives it: a letter, or several for a diphthong or an affricate, with
            marks such as tones.
        other: likewise.
    """
    if one == other:
        return 0.0
    (letters, marks), (other_letters, other_marks) = _parsed(one), _parsed(other)
    apart = _letters_apart(letters, other_letters) + (_MARKED if marks != other_marks else 0.0)
    return float(min(1.0, max(_LEAST, apart)))


def _parsed(phoneme: str) -> tuple[str, str]:
    """Return the letters of a phoneme, and its marks."""
    # A nasal vowel is a vowel with a mark; "ä" and "ç" are letters of the chart.
    parts = unicodedata.normalize("NFD", phoneme)
    for letter in "äç":
        parts = parts.replace(unicodedata.normalize("NFD", letter), letter)
    known = [letter for letter in parts if letter in _VOWELS or letter in _MANNER]
    return "".join(known), "".join(letter for letter in parts if letter not in known)


def _letters_apart(one: str, other: str) -> float:
    """Return the weighted edit distance of two runs of letters over the length of the longer one."""
    if not one or not other:
        return 1.0
    steps = np.zeros((len(one) + 1, len(other) + 1))
    steps[:, 0], steps[0, :] = np.arange(len(one) + 1), np.arange(len(other) + 1)
    for row, letter in enumerate(one, start=1):
        for column, instead in enumerate(other, start=1):
            replaced = steps[row - 1, column - 1] + _letter_apart(letter, instead)
            steps[row, column] = min(replaced, steps[row - 1, column] + 1, steps[row, column - 1] + 1)
    return float(steps[-1, -1]) / max(len(one), len(other))


def _letter_apart(one: str, other: str) -> float:
    if one == other:
        return 0.0
    if one in _VOWELS and other in _VOWELS:
        height, backness, rounding = np.abs(np.subtract(_VOWELS[one], _VOWELS[other]))
        return float(_HEIGHT * height / 6 + _BACKNESS * backness / 2 + _ROUNDING * rounding)
    if one in _VOWELS or other in _VOWELS:
        consonant, vowel = (other, one) if one in _VOWELS else (one, other)
        return min(1.0, _GLIDE + _letter_apart(_GLIDES[consonant], vowel)) if consonant in _GLIDES else 1.0
    steps = abs(_PLACE[one] - _PLACE[other])
    place = 0.5 + 0.5 * min(1.0, steps / _FAR) if steps else 0.0  # the next place is another sound, an accent no more
    voice = (one in _VOICELESS) != (other in _VOICELESS)
    return _PLACED * place + _MADE * (_MANNER[one] != _MANNER[other]) + _VOICED * voice
