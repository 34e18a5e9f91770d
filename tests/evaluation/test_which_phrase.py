"""Which phrase a clip says: against scikit-learn, every threshold tried, and a case worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from sklearn import metrics as sklearn

from tests.evaluation.made_up import clip, with_origin
from wakeword.base.params import Phrases
from wakeword.corpus.manifest import SAMPLE_RATE, Origin, Recording
from wakeword.corpus.shards import Corpus, ShardWriter
from wakeword.evaluation.summary import summary_of_which
from wakeword.evaluation.which_phrase import (
    KEY,
    NOISE,
    SPEECH,
    Heard,
    answers,
    choose_threshold,
    gather,
    report_which_phrase,
    seconds_of_noise,
)

PHRASES = ["yes", "no"]
SCORES = st.tuples(st.integers(1, 8), st.integers(1, 8))
ROWS = st.lists(
    st.tuples(st.integers(1, 8), st.integers(1, 8), st.sampled_from([0, 1, SPEECH, NOISE])), min_size=1, max_size=40
)
WITH_BOTH = st.builds(lambda yes, no, rows: [(*yes, 0), (*no, 1), *rows], SCORES, SCORES, ROWS)


def heard(rows: list[tuple[float, float, int]]) -> Heard:
    return Heard(np.array([row[:2] for row in rows], dtype=np.float64), np.array([row[2] for row in rows]))


@settings(max_examples=60)
@given(ROWS, WITH_BOTH)
def test_the_figures_are_those_of_scikit_learn_at_a_threshold_that_none_beats(
    dev_rows: list[tuple[int, int, int]], test_rows: list[tuple[int, int, int]]
) -> None:
    dev, test = (heard([(a / 8, b / 8, truth) for a, b, truth in rows]) for rows in (dev_rows, test_rows))

    def classes(found: Heard, threshold: float) -> tuple[list[str], list[str]]:
        """Return what each clip is and what it is taken for."""
        names = {0: "yes", 1: "no", SPEECH: "none", NOISE: "none"}
        taken = []
        for yes, no in found.scores.tolist():
            loudest = "yes" if yes >= no else "no"
            taken.append(loudest if max(yes, no) > threshold else "none")
        return [names[truth] for truth in found.truth.tolist()], taken

    report = report_which_phrase(test, dev, PHRASES)
    truth, taken = classes(test, report["threshold"])
    assert report["accuracy"] == pytest.approx(sklearn.accuracy_score(truth, taken))
    low, high = report["accuracy_interval"]
    assert low <= report["accuracy"] <= high and report["clips"] == len(test_rows)
    table = sklearn.confusion_matrix(truth, taken, labels=["yes", "no", "none"])
    for index, phrase in enumerate(PHRASES):
        row = report["phrases"][phrase]
        assert row["taken_for"] == ({PHRASES[1 - index]: table[index, 1 - index]} if table[index, 1 - index] else {})
        assert (row["clips"], row["right"]) == (table[index].sum(), table[index, index])
    others = report["others"].values()
    assert [sum(row["taken_for"].get(other, 0) for row in others) for other in PHRASES] == table[2, :2].tolist()
    assert sum(row["right"] for row in others) == table[2, 2]
    best = max(sklearn.accuracy_score(*classes(dev, at)) for at in np.arange(0.5, 9.0) / 8)
    assert report["dev"]["accuracy"] == pytest.approx(best)


def test_no_phrase_has_the_key_of_the_report() -> None:
    phrases = TypeAdapter(Phrases)
    named_like_it = KEY.strip()
    assert phrases.validate_python([named_like_it]) == [named_like_it] == ["which_phrase"]
    with pytest.raises(ValidationError):
        phrases.validate_python([KEY])


def test_the_threshold_has_most_room_on_both_sides() -> None:
    found = heard([(0.9, 0.1, 0), (0.2, 0.7, 1), (0.3, 0.1, SPEECH), (0.1, 0.2, NOISE)])
    assert choose_threshold(found) == pytest.approx((0.3 + 0.7) / 2)
    # A clip that its own phrase does not win can't be put right; what is no phrase is better left out.
    assert choose_threshold(heard([(0.9, 0.1, 1), (0.3, 0.1, SPEECH)])) > 0.3


def test_a_report_by_hand() -> None:
    dev = heard([(0.9, 0.1, 0), (0.1, 0.7, 1), (0.3, 0.1, SPEECH)])
    test = heard([(0.8, 0.2, 0), (0.4, 0.45, 0), (0.7, 0.6, 1), (0.1, 0.6, NOISE), (0.5, 0.5, SPEECH)])
    assert answers(test.scores, 0.5).tolist() == [0, -1, 0, 1, -1]
    report = report_which_phrase(test, dev, PHRASES)
    assert (report["threshold"], report["right"], report["clips"]) == (0.5, 2, 5)
    assert report["accuracy_interval"] == pytest.approx([0.1176, 0.7693], abs=1e-4)  # Wilson's, from a table
    assert report["phrases"]["yes"]["taken_for"] == {} and report["phrases"]["yes"]["clips"] == 2
    assert report["phrases"]["no"]["taken_for"] == {"yes": 1} and report["phrases"]["no"]["right"] == 0
    assert report["others"]["noise"]["taken_for"] == {"no": 1}
    assert report["others"]["speech"]["taken_for"] == {} and report["others"]["speech"]["right"] == 1
    said = summary_of_which(report).splitlines()
    assert said[0].endswith("chosen on streams): 40.0 % [11.8, 76.9], 2 of 5 right")
    assert "at the threshold 0.5 (for clips heard alone" in said[0]
    assert said[2] == "  “no”: 0.0 % [0.0, 79.3], 0 of 1 right; 1 taken for “yes”" and len(said) == 5


def test_other_speech_and_noise_count_as_often_as_a_phrase(tmp_path: Path) -> None:
    named = ["yes", None, "no", "no", None, "no", None, None]
    clips = [with_origin(clip(str(at), "s"), label="positive", phrase=phrase) for at, phrase in enumerate(named)]
    scores = [np.full((3, 2), at / 10) for at in range(len(clips))]
    scores[0][1, 1] = 0.95  # the highest of the frames is what counts
    found = gather(clips, scores, [np.zeros((3, 2))], PHRASES)
    assert found.truth.tolist() == [0, 1, 1, 1, SPEECH, SPEECH, NOISE]
    assert found.scores[:, 1].tolist() == [0.95, 0.2, 0.3, 0.5, 0.1, 0.4, 0.0]

    noise = Origin("noise", None, None, "noise", "g", True, "made up", "CC0-1.0", None, "a.wav")
    with ShardWriter(tmp_path) as writer:
        for length in (2.5, 0.9, 1.0):
            pcm = np.arange(round(length * SAMPLE_RATE)).astype(np.int16) % np.int16(100 * length)
            writer.add(Recording(noise, pcm, SAMPLE_RATE, (0, len(pcm))))
    corpus = Corpus.open(tmp_path)
    two, one = sorted((each for each in corpus.clips if each.seconds >= 1), key=lambda each: -each.samples)
    cuts = seconds_of_noise(corpus, [two, one], 9)
    expected = [corpus.audio(two)[:16_000], corpus.audio(one), corpus.audio(two)[16_000:32_000]]
    assert len(cuts) == 3 and all(np.array_equal(cut, of) for cut, of in zip(cuts, expected, strict=True))
    assert len(seconds_of_noise(corpus, [two, one], 2)) == 2 and seconds_of_noise(corpus, [], 2) == []
