import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import wordfreq
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wakeword.base.errors import UserError
from wakeword.engines.espeak import NOT_HUMAN, Espeak, EspeakConfig
from wakeword.engines.espeak_library import phonemes, variants
from wakeword.engines.registry import EnginesConfig
from wakeword.sources import typed_phrase
from wakeword.sources.phoneme_distance import difference
from wakeword.sources.pronunciation import pronounce, without_marks
from wakeword.sources.sentences import Vocabulary, sentence
from wakeword.sources.synthesis import Utterance
from wakeword.sources.synthesis_config import NegativeKinds, SynthesisConfig
from wakeword.sources.typed_phrase import (
    RUNNING,
    edit_distances,
    phrase_parts,
    reordered,
    similar_texts,
    utterances,
)

PHRASES = ["snowboy", "night light"]
ACCENTS = ["en-us", "en-gb"]


def config_of(positives: int, negatives: int, **espeak: Any) -> SynthesisConfig:
    engines = EnginesConfig(espeak=EspeakConfig(**espeak))
    return SynthesisConfig(positives=positives, negatives=negatives, engines=engines)


CONFIG = config_of(130, 300, voices=ACCENTS)
ESPEAK = EspeakConfig()


@pytest.fixture(scope="module", autouse=True)
def fewer_words() -> Iterator[None]:
    """The tests need no 20 000 words, which take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typed_phrase, "_VOCABULARY", 4_000)
        yield


@pytest.fixture(scope="module")
def spoken(fewer_words: None) -> list[Utterance]:
    return utterances(CONFIG, PHRASES, "en", 7)


@pytest.fixture(scope="module")
def negatives(spoken: list[Utterance]) -> list[Utterance]:
    return [utterance for utterance in spoken if utterance.label != "positive"]


def by(utterance: Utterance) -> Espeak:
    assert isinstance(utterance.by, Espeak)
    return utterance.by


def of(said: list[Utterance], phrase: str | None) -> list[Utterance]:
    return [utterance for utterance in said if utterance.phrase == phrase]


def test_counts_and_labels(spoken: list[Utterance]) -> None:
    for phrase in PHRASES:
        said = of(spoken, phrase)
        assert len(said) == CONFIG.positives
        assert {(u.text, u.label, u.kind) for u in said} == {(phrase, "positive", "phrase")}
    assert len(of(spoken, None)) == CONFIG.negatives
    assert all(u.label == ("negative" if u.kind in {"sentence", "word"} else "hard_negative") for u in of(spoken, None))


def test_parameters_stay_in_their_ranges_and_fill_them(spoken: list[Utterance]) -> None:
    slow = [utterance for utterance in spoken if utterance.kind not in RUNNING]
    for name in ("rate_wpm", "pitch", "pitch_range"):
        low, high = getattr(ESPEAK, name)
        values = np.array([getattr(utterance.by, name) for utterance in slow])
        assert low <= values.min() <= low + 5
        assert high - 5 <= values.max() <= high
    assert {by(utterance).voice for utterance in spoken} == set(ACCENTS)


def test_sentences_run_and_nothing_else_does(spoken: list[Utterance]) -> None:
    """By the negatives' pace alone does what is said with the default differ from what is said without a hurry."""
    unhurried = utterances(CONFIG.model_copy(update={"running_pace": [1.0, 1.0]}), PHRASES, "en", 7)
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for fast, slow in zip(spoken, unhurried, strict=True):
        assert replace(fast, by=replace(by(fast), rate_wpm=1)) == replace(slow, by=replace(by(slow), rate_wpm=1))
        ratios[fast.kind in RUNNING].append(by(fast).rate_wpm / by(slow).rate_wpm)
    assert set(ratios[False]) == {1.0}
    assert 1.0 <= min(ratios[True]) < 1.05 and 1.25 < max(ratios[True]) < 1.31


def test_the_same_seed_says_the_same_and_another_something_else(spoken: list[Utterance]) -> None:
    small = CONFIG.model_copy(update={"positives": 20, "negatives": 20})
    first, other = utterances(small, PHRASES, "en", 7), utterances(small, PHRASES, "en", 8)
    # smaller counts are the beginning of larger ones
    for phrase in [*PHRASES, None]:
        assert of(first, phrase) == of(spoken, phrase)[:20]
    assert sum(one == two for one, two in zip(first, other, strict=True)) < 3


def test_another_phrase_leaves_the_positives_of_the_first(spoken: list[Utterance]) -> None:
    alone = CONFIG.model_copy(update={"negatives": 0})
    assert utterances(alone, PHRASES[1:], "en", 7) == of(spoken, PHRASES[1])


def test_shares_of_kinds_hold_from_the_start(negatives: list[Utterance]) -> None:
    for number in (20, 100, 300):
        kinds = Counter(utterance.kind for utterance in negatives[:number])
        for kind, share in CONFIG.kinds.shares().items():
            assert abs(kinds[kind] - share * number) <= 2


def test_every_speaker_says_both(spoken: list[Utterance], negatives: list[Utterance]) -> None:
    human = set(variants()) - set(NOT_HUMAN)
    for said in (of(spoken, PHRASES[0]), of(spoken, PHRASES[1]), negatives):
        turns = Counter(by(utterance).variant for utterance in said)
        assert set(turns) == human
        assert max(turns.values()) - min(turns.values()) <= 1


def test_excluded_variants_exist() -> None:
    assert set(NOT_HUMAN) < set(variants())
    assert len(set(variants()) - set(NOT_HUMAN)) >= 50


def test_no_negative_holds_a_phrase(negatives: list[Utterance]) -> None:
    texts = [utterance.text for utterance in negatives]
    for phrase in PHRASES:
        assert not [text for text in texts if phrase in text]
        forms = [f" {' '.join(phonemes([phrase], voice)[0])} " for voice in ACCENTS]
        for voice in ACCENTS:
            for text, said in zip(texts, phonemes(texts, voice), strict=True):
                assert not any(form in f" {' '.join(said)} " for form in forms), text


def test_homophones_of_the_phrase_are_not_similar() -> None:
    """And a kind without a share does not occur."""
    kinds = NegativeKinds(sentence=0.0, word=0.0, similar=1.0, part=0.0, reordered=0.0, in_sentence=0.0)
    config = CONFIG.model_copy(update={"positives": 0, "negatives": 400, "kinds": kinds})
    said = utterances(config, ["night light"], "en", 0)
    texts = {utterance.text for utterance in said}
    assert {utterance.kind for utterance in said} == {"similar"}
    assert "knight light" not in texts
    assert any(text.endswith(" light") for text in texts)
    assert any(text.startswith("night ") for text in texts)


@pytest.mark.parametrize("phrase", ["snowboy", "hey computer"])
def test_similar_texts_are_all_different_and_lie_near_and_far(phrase: str) -> None:
    """Of the 300 of "snowboy" once 126 sounded different: "snow by", "snow buy" and "snow bye" were three."""
    words = wordfreq.top_n_list("en", 20_000)
    needed = sorted({*words, *phrase.split(), phrase})
    said = {text: without_marks(sounds) for (_, text), sounds in pronounce([("en-gb", t) for t in needed], 2).items()}
    heard = [word for word in words if said[word]]
    vocabulary = Vocabulary(heard, np.full(len(heard), 1 / len(heard)), [said[word] for word in heard])
    found = similar_texts(phrase, vocabulary, said.__getitem__)
    assert 200 < len(found) <= 300
    sounds = [tuple(phoneme for word in text.split() for phoneme in said[word]) for text in found]
    assert len(set(sounds)) == len(sounds)
    # So do accents differ.
    assert not {"hi computer", "high computer", "hair computer", "snow bay", "snow by"} & set(found)
    assert {"how computer", "say computer", "snow bear", "slow boy"} & set(found[:10])
    apart = [reference(said[phrase], sound, difference) for sound in sounds]
    assert max(apart[:100]) < 0.25 * len(said[phrase])
    assert max(apart) > 0.5 * len(said[phrase])


@pytest.mark.parametrize(
    ("phrase", "sounds_the_same", "does_not"),
    [
        ("why choose", "white shoes", "wide shoes"),
        ("shoes", "shoos", "choose"),
        ("snowboy", "snowb boy", "snow bear"),
        ("jarvis", "jarv vis", "jars"),
    ],
)
def test_what_sounds_like_the_phrase_is_no_negative_wherever_its_words_are_cut(
    phrase: str, sounds_the_same: str, does_not: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """espeak-ng writes an affricate as one phoneme, a stop before a fricative as two, and what meets itself twice."""
    monkeypatch.setattr(typed_phrase, "similar_texts", lambda *_: [sounds_the_same, does_not])
    kinds = NegativeKinds(sentence=0.0, word=0.0, similar=1.0, part=0.0, reordered=0.0, in_sentence=0.0)
    config = CONFIG.model_copy(update={"positives": 0, "negatives": 20, "kinds": kinds})
    assert {utterance.text for utterance in utterances(config, [phrase], "en", 0)} == {does_not}


@pytest.mark.parametrize(
    ("phrase", "language"),
    [
        ("می\u200cخواهم", "fa"),
        ("hey Jürgen", "de"),
        ("ça va, Zoë", "fr"),
        ("你好小爱", "zh"),
        ("ねえコンピューター", "ja"),
    ],
)
def test_letters_beyond_ascii_are_said(phrase: str, language: str) -> None:
    assert utterances(SynthesisConfig(positives=1, negatives=0), [phrase], language, 0)[0].text == phrase


def words_of(text: str) -> list[str]:
    return re.sub(r"[.,?!]", "", text).split()


def test_sentences_are_usual_words(negatives: list[Utterance]) -> None:
    sentences = [words_of(utterance.text) for utterance in negatives if utterance.kind == "sentence"]
    assert min(map(len, sentences)) == 3 and 12 <= max(map(len, sentences)) <= 15
    drawn = [word for words in sentences for word in words]
    ranks = {word: rank for rank, word in enumerate(wordfreq.top_n_list("en", 4_000))}
    assert set(drawn) <= set(ranks)
    assert np.median([ranks[word] for word in drawn]) < 1_000


def test_words_alone_are_usual_and_not_only_the_commonest(negatives: list[Utterance]) -> None:
    alone = [utterance for utterance in negatives if utterance.kind == "word"]
    assert {len(utterance.text.split()) for utterance in alone} == {1, 2, 3}
    ranks = {word: rank for rank, word in enumerate(wordfreq.top_n_list("en", 4_000))}
    drawn = [ranks[word] for utterance in alone for word in utterance.text.split()]
    sentences = [utterance for utterance in negatives if utterance.kind == "sentence"]
    assert np.median(drawn) > 2 * np.median([ranks[word] for u in sentences for word in words_of(u.text)])
    assert len({utterance.text for utterance in alone}) > 0.9 * len(alone)


def test_sentences_hold_the_phrases_words_and_those_near_them(negatives: list[Utterance]) -> None:
    """Words in a row count too: 'no' and 'boy' where no word is 'snowboy'."""
    inside = [utterance for utterance in negatives if utterance.kind == "in_sentence"]
    assert {utterance.label for utterance in inside} == {"hard_negative"}
    known = {"night", "light", "snow", "know", "no", "boy", "boi"}
    assert 0.3 < np.mean([bool(known & set(words_of(utterance.text))) for utterance in inside]) < 1.0
    usual = set(wordfreq.top_n_list("en", 4_000)) | {"snowb", "owboy", "boi"}
    assert all(set(words_of(utterance.text)) <= usual for utterance in inside)
    assert all(3 <= len(words_of(utterance.text)) <= 16 for utterance in inside)


def test_a_sentence_keeps_to_its_words_and_stops_like_one() -> None:
    vocabulary = Vocabulary([f"w{n}" for n in range(40)], np.full(40, 1 / 40), [("x",)] * 40)
    texts = [sentence(vocabulary, np.random.default_rng(seed), ["hey you"]) for seed in range(300)]
    for text in texts:
        words = words_of(text)
        assert 1 <= text.count("hey") <= 2
        others = [word for word in words if word.startswith("w")]
        assert len(set(others)) == len(others) >= 2
        assert all(word.startswith("w") or word in ("hey", "you") for word in words)
    ends = Counter(text[-1] if text[-1] in ".?!" else "" for text in texts)
    assert ends["."] > ends["?"] > ends["!"] > 0 and ends[""] > 0
    paused = [text for text in texts if "," in text]
    assert 0.2 < len(paused) / len(texts) < 0.5 and all(len(words_of(text)) >= 6 for text in paused)
    few = Vocabulary(["a", "b"], np.array([0.5, 0.5]), [("x",)] * 2)
    assert set(words_of(sentence(few, np.random.default_rng(1)))) <= {"a", "b"}


WORDS = {
    "snow": ("s", "n", "oʊ"),
    "know": ("n", "oʊ"),
    "boy": ("b", "ɔɪ"),
    "toy": ("t", "ɔɪ"),
    "show": ("ʃ", "oʊ"),
    "elephant": ("ɛ", "l", "ə", "f", "ə", "n", "t"),
    "snowboys": ("s", "n", "oʊ", "b", "ɔɪ", "z"),
    "smart": ("s", "m", "ɑɹ", "t"),
    "start": ("s", "t", "ɑɹ", "t"),
    "mirror": ("m", "ɪ", "ɹ", "ɚ"),
    "art": ("ɑɹ", "t"),
}
VOCABULARY = Vocabulary(list(WORDS), np.full(len(WORDS), 1 / len(WORDS)), list(WORDS.values()))
SOUNDS = WORDS | {"snowboy": ("s", "n", "oʊ", "b", "ɔɪ"), "smart mirror": (*WORDS["smart"], *WORDS["mirror"])}


def test_similar_texts_of_one_word_by_hand() -> None:
    found = similar_texts("snowboy", VOCABULARY, SOUNDS.__getitem__)
    assert found[:2] == ["know boy", "snow toy"] or set(found[:3]) == {"know boy", "snow toy", "snowboys"}
    assert {"know toy", "show boy", "snow"} <= set(found)  # 2 phonemes away
    assert "snow boy" not in found  # 0 away: it is the phrase
    assert not any("elephant" in text for text in found)


def test_similar_texts_of_two_words_by_hand() -> None:
    found = similar_texts("smart mirror", VOCABULARY, SOUNDS.__getitem__)
    assert found[0] == "start mirror"
    assert "art mirror" in found
    assert "smart mirror" not in found


def test_parts_of_one_word() -> None:
    parts = phrase_parts("snowboy", VOCABULARY, SOUNDS.__getitem__)
    assert parts == ["snow", "know", "boy", "snowb", "owboy"]


def test_parts_of_two_words() -> None:
    parts = phrase_parts("smart mirror", VOCABULARY, SOUNDS.__getitem__)
    assert {"smart", "mirror", "art"} <= set(parts)
    assert "smart mirror" not in parts


def test_words_in_other_orders() -> None:
    assert reordered("smart mirror", []) == ["mirror smart"]
    assert sorted(reordered("a b c", [])) == ["a c b", "b a c", "b c a", "c a b", "c b a"]
    assert reordered("hey hey", []) == []
    assert set(reordered("snowboy", ["snow", "boy"])) == {"snow boy", "boy snow"}  # the former is a homophone: banned


def test_nearer_is_what_is_made_in_nearly_the_same_way() -> None:
    near = similar_texts("snowboy", VOCABULARY, SOUNDS.__getitem__)
    assert near.index("snow toy") < near.index("know boy")  # b and t are both stops; a whole phoneme is left out


def reference(one: Sequence[Any], other: Sequence[Any], cost: Callable[[Any, Any], float] = operator.ne) -> float:
    """Levenshtein's recursion, as it is defined, with a cost for each replacement."""

    @cache
    def rest(at: int, there: int) -> float:
        if at == len(one) or there == len(other):
            return len(one) - at + len(other) - there
        replaced = rest(at + 1, there + 1) + cost(one[at], other[there])
        return min(replaced, rest(at + 1, there) + 1, rest(at, there + 1) + 1)

    return rest(0, 0)


@given(
    st.lists(st.integers(0, 3), max_size=4), st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=4)
)
def test_edit_distances_are_levenshtein(target: list[int], rows: list[list[int]]) -> None:
    table = np.full((len(rows), 4), -1)
    for filled, row in zip(table, rows, strict=True):
        filled[: len(row)] = row
    lengths = np.array([len(row) for row in rows])
    costs = np.array([[float(token != number) for number in range(4)] for token in target]).reshape(len(target), 4)
    assert edit_distances(costs, table, lengths).tolist() == [reference(target, row) for row in rows]


@pytest.mark.parametrize(
    ("phrase", "language", "complaint"),
    [
        ("☃☃", "en", "'phrases' holds '☃☃'.*no letters"),
        ("?!", "en", "no letters"),
        ("привет", "en", "'п' is Cyrillic; set 'language'"),
        ("hey\tyou", "en", "control characters"),
        ("雪", "ja", "would name its characters"),
        ("聞こえますか", "ja", "leaves out '聞'"),
        ("hey Nguyễn", "en", "would name letters, probably 'ễ'"),
        ("hello", "xx", "'language' is 'xx', which espeak-ng does not know; it knows af, "),
        ("saluton", "eo", "no list of words for 'language: eo'.*'ingest.synthesis.negatives' to 0"),
    ],
)
def test_what_cannot_be_said_is_explained(phrase: str, language: str, complaint: str) -> None:
    config = config_of(2, 30, voices=["en-us"] if language == "en" else None)
    with pytest.raises(UserError, match=complaint):
        utterances(config, [phrase], language, 0)


@pytest.mark.parametrize("phrases", [["hey jon", "hey john"], ["night", "good knight light"]])
def test_a_phrase_within_another_is_explained(phrases: list[str]) -> None:
    with pytest.raises(UserError, match=r"who says the first says the second.*train a model for each"):
        utterances(config_of(2, 0, voices=["en-us"]), phrases, "en", 0)


def test_a_phrase_that_other_speech_holds_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed_phrase, "_ATTEMPTS", (range(1),))
    config = config_of(2, 60, voices=["en-us"])
    with pytest.raises(UserError, match=r"so short that other speech holds it too, as '.*' does.*than 'a'"):
        utterances(config, ["a"], "en", 0)


@pytest.mark.parametrize(
    ("update", "complaint"),
    [
        (
            {"voices": ["en-mars"]},
            "'ingest.synthesis.engines.espeak.voices' names 'en-mars'; for 'en' there are en-gb, en-us",
        ),
        ({"variants": ["f3", "F3"]}, "'ingest.synthesis.engines.espeak.variants' names 'F3'; there are .*f3"),
    ],
)
def test_unknown_voices_are_explained(update: dict[str, list[str]], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        utterances(config_of(2, 2, **update), ["snowboy"], "en", 0)


def test_a_language_without_a_list_of_words_still_has_positives() -> None:
    said = utterances(SynthesisConfig(positives=3, negatives=0), ["saluton"], "eo", 0)
    assert [(utterance.text, by(utterance).voice) for utterance in said] == [("saluton", "eo")] * 3


def test_serbian_may_be_written_in_either_script() -> None:
    for phrase in ("здраво компјутер", "zdravo kompjuter"):
        said = utterances(SynthesisConfig(positives=1, negatives=4), [phrase], "sr", 0)
        assert {by(utterance).voice for utterance in said} == {"sr"}


def test_other_languages_speak_their_own_words() -> None:
    said = utterances(SynthesisConfig(positives=1, negatives=10), ["你好小爱"], "zh", 0)
    assert {by(utterance).voice for utterance in said} == {"cmn"}
    sentences = [utterance.text for utterance in said if utterance.kind == "sentence"]
    assert all("\u4e00" <= letter <= "\u9fff" for text in sentences for letter in "".join(words_of(text)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"positives": -1},
        {"positives": 0, "negatives": 0},
        {"engines": {"espeak": {"rate_wpm": [170, 95]}}},
        {"engines": {"espeak": {"rate_wpm": [60, 95]}}},
        {"engines": {"espeak": {"pitch": [50]}}},
        {"engines": {"espeak": {"pitch": [0, 100]}}},
        {"engines": {"espeak": {"voices": []}}},
        {"kinds": {"sentence": 0.5, "similar": 0.2, "part": 0.2}},
        {"kinds": {"sentence": 1.2, "word": -0.2, "similar": 0.0, "part": 0.0, "reordered": 0.0, "in_sentence": 0.0}},
        {"kinds": {"sentense": 0.5}},
        {"running_pace": [1.3, 1.0]},
        {"speed": 3},
    ],
)
def test_config_refuses(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SynthesisConfig.model_validate(wrong)
