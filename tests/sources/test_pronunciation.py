import os
import signal

import pytest

from wakeword.sources import pronunciation
from wakeword.sources.pronunciation import pronounce, transcripts, without_marks


def phonemes_or_die(requests: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    if any(text == "die" for _, text in requests):
        os.kill(os.getpid(), signal.SIGSEGV)
    return [tuple(text) for _, text in requests]


def test_a_crash_costs_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pronunciation, "_pronounced", phonemes_or_die)
    found = pronounce([("en-us", text) for text in ("one", "die", "two")], 1)
    assert found == {("en-us", "one"): ("o", "n", "e"), ("en-us", "die"): (), ("en-us", "two"): ("t", "w", "o")}


def test_texts_are_transcribed_as_dictionaries_have_them() -> None:
    said = [("en", "snow boy"), ("EN", "Snow boy!"), ("de", "Sonne"), ("es", "uno, dos")]
    nothing = [("en", "..."), ("xx", "snow boy")]
    assert transcripts([*said, *nothing], 2) == {
        ("en", "snow boy"): "s n əʊ b ɔɪ",
        ("EN", "Snow boy!"): "s n əʊ b ɔɪ",
        ("de", "Sonne"): "z ɔ n ə",
        ("es", "uno, dos"): "u n o d o s",
    }


def test_a_language_of_a_region_is_that_language(caplog: pytest.LogCaptureFixture) -> None:
    """Common Voice calls Swedish sv-SE, and all that it says was left out."""
    assert set(transcripts([("sv-SE", "hej datorn"), ("sv", "hej datorn"), ("xx-YY", "hej")], 1).values()) == {
        transcripts([("sv", "hej datorn")], 1)["sv", "hej datorn"]
    }
    assert "does not know these languages" in caplog.text


def test_marks_of_other_languages_are_no_phonemes() -> None:
    (said,) = pronounce([("de", "Service")], 1).values()
    assert said[0] == "(en)"
    assert without_marks(said) == ("s", "ɜ", "v", "ɪ", "s")


def test_nothing_is_asked_for_nothing() -> None:
    assert transcripts([], 1) == {}
