"""Speech in other languages than the phrase's."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from wakeword.corpus.manifest import Recording
from wakeword.engines.espeak_library import voices_of
from wakeword.engines.registry import EnginesConfig
from wakeword.sources.foreign import SENTENCE, WORD, foreign_utterances, other_languages
from wakeword.sources.pronunciation import Phonemes
from wakeword.sources.synthesis import Utterance, speak
from wakeword.sources.synthesis_config import SynthesisConfig
from wakeword.sources.texts import words_of
from wakeword.sources.typed_phrase import utterances


def nothing_held(text: str, forms: Iterable[Phonemes]) -> bool:
    return False


def config_of(foreign: int, **kwargs: Any) -> SynthesisConfig:
    return SynthesisConfig(positives=1, negatives=0, foreign=foreign, **kwargs)


def said(foreign: int, language: str = "en", workers: int = 1, **kwargs: Any) -> list[Utterance]:
    return foreign_utterances(config_of(foreign, **kwargs), language, 1, nothing_held, workers)


def test_other_languages_take_turns_and_the_phrases_own_is_none_of_them() -> None:
    codes = other_languages("en-us")
    assert len(codes) > 30
    assert "en" not in codes
    assert "zh" not in other_languages("cmn")
    counts = Counter(utterance.language for utterance in said(2 * len(codes)))
    assert counts == dict.fromkeys(codes, 2)


def test_it_is_said_in_an_accent_of_its_language() -> None:
    for utterance in said(80):
        assert utterance.by.parameters["voice"] in voices_of(utterance.language)


def test_three_of_five_are_sentences_and_those_are_faster() -> None:
    spoken = said(600)
    kinds = Counter(utterance.kind for utterance in spoken)
    assert kinds[SENTENCE] / 600 == pytest.approx(0.6, abs=0.08)  # four standard errors
    assert {utterance.label for utterance in spoken} == {"negative"}
    rates: dict[str, list[float]] = {SENTENCE: [], WORD: []}
    for utterance in spoken:
        rates[utterance.kind].append(float(utterance.by.parameters["rate_wpm"]))
        assert len(utterance.text.split()) <= (15 if utterance.kind == SENTENCE else 3)
    mean = {kind: sum(of) / len(of) for kind, of in rates.items()}
    assert mean[SENTENCE] > 1.08 * mean[WORD]


def test_more_of_them_leave_the_first_as_they_were_and_workers_change_nothing() -> None:
    assert said(90)[:50] == said(50, workers=2)


def test_what_holds_the_phrase_is_drawn_again() -> None:
    def held(text: str, forms: Iterable[Phonemes]) -> bool:
        return bool({"de", "la"} & set(words_of(text)))

    free, kept = said(200), foreign_utterances(config_of(200), "en", 1, held, 1)
    assert any(held(utterance.text, []) for utterance in free)
    assert not any(held(utterance.text, []) for utterance in kept)
    assert len(kept) == 200
    assert all(mine == theirs for mine, theirs in zip(free, kept, strict=True) if not held(mine.text, []))


def test_a_phrase_of_another_language_is_not_taught_as_other_sound() -> None:
    """Spanish, Catalan and others say "de la" often; as an English phrase it is in none of them."""
    found = utterances(config_of(400), ["de la"], "en", 1)
    others = [utterance for utterance in found if utterance.phrase is None]
    assert len(others) == 400
    assert not any("de la" in " ".join(words_of(utterance.text)) for utterance in others)


def test_without_espeak_there_is_none() -> None:
    assert said(10, engines=EnginesConfig(espeak=None, flite={"share": 1.0})) == []


def test_it_can_be_said() -> None:
    results = [speak(utterance) for utterance in said(40)]
    recordings = [result for result in results if isinstance(result, Recording)]
    assert len(recordings) >= 38
    assert all(recording.origin.language != "en" for recording in recordings)
