"""Differences of phonemes: ordered as a phonetician would, the same both ways, and never without measure."""

import itertools

import pytest

from wakeword.engines.espeak_library import phonemes
from wakeword.sources.phoneme_distance import difference


@pytest.mark.parametrize(
    ("phoneme", "nearest_first"),
    [
        ("p", ["b", "t", "d", "z", "a"]),  # voice; place; both; manner too; a vowel
        ("s", ["z", "x", "ɡ", "o"]),
        ("i", ["ɪ", "e", "a", "ɒ", "t"]),
        ("oʊ", ["əʊ", "aɪ", "t"]),
        ("tʃ", ["dʒ", "ʃ", "m", "a"]),
        ("j", ["i", "l", "a"]),
        ("m", ["b", "k", "s"]),
    ],
)
def test_likeness_is_ordered(phoneme: str, nearest_first: list[str]) -> None:
    differences = [difference(phoneme, other) for other in nearest_first]
    assert differences == sorted(differences) and differences[0] < differences[-1]


def test_an_accents_step_is_small_and_another_sound_is_not() -> None:
    assert all(difference(*pair) < 0.15 for pair in (("ɪ", "i"), ("ə", "ɘ"), ("æ", "a")))
    # As espeak-ng writes American English, Danish and nasal vowels.
    assert all(difference(*pair) < 0.25 for pair in (("ᵻ", "ɪ"), ("ε", "ɛ"), ("õ", "o"), ("ĩ", "i")))
    assert difference("ä", "a") < difference("ä", "e") and difference("ç", "ʃ") < 0.3
    assert all(difference(*pair) > 0.15 for pair in (("b", "p"), ("s", "ʃ"), ("ɪ", "ɑ"), ("m", "n"), ("a5", "ɑ2")))


@pytest.mark.parametrize("voice", ["en-us", "fr-fr", "cmn", "ja", "ru"])
def test_every_phoneme_of_a_language_differs_from_every_other(voice: str) -> None:
    texts = {
        "en-us": "thirty joyful vows",
        "fr-fr": "un bon vin blanc",
        "cmn": "你好小爱",
        "ja": "かばん",
        "ru": "привет",
    }
    sounds = set(phonemes([texts[voice]], voice)[0])
    for one, other in itertools.product(sounds, repeat=2):
        assert difference(one, other) == difference(other, one)
        assert difference(one, other) == 0 if one == other else 0 < difference(one, other) <= 1
