"""Clip figures against scikit-learn, and intervals over groups against cases that can be worked out."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from wakeword.evaluation.bootstrap import bootstrap_figures, group_draws, percentile_interval
from wakeword.evaluation.clips import average_precision, f1, report_clips

CLIPS = st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.booleans()), min_size=1, max_size=80)


@settings(max_examples=100)
@given(CLIPS)
def test_average_precision_and_f1_are_those_of_scikit_learn(clips: list[tuple[int, bool, bool]]) -> None:
    scores, said, fired = (np.array(column) for column in zip(*clips, strict=True))
    assume(said.any())
    assert average_precision(scores / 12, said) == pytest.approx(sklearn.average_precision_score(said, scores))
    assert f1(fired, said) == pytest.approx(sklearn.f1_score(said, fired, zero_division=0.0))


def test_average_precision_and_f1_worked_by_hand() -> None:
    said = np.array([True, False, True, False])
    assert average_precision(np.array([0.9, 0.8, 0.7, 0.1]), said) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision(np.full(4, 0.5), said) == pytest.approx(0.5)
    assert f1(np.array([True, True, False, False]), said) == pytest.approx(0.5)
    for nothing in (lambda: average_precision(np.ones(2), np.zeros(2, bool)), lambda: f1(said[:0], said[:0])):
        with pytest.raises(ValueError):
            nothing()


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30), st.integers(0, 99))
def test_as_many_groups_are_drawn_as_there_are(groups: list[str], seed: int) -> None:
    names, draws = group_draws(groups, 20, seed)
    assert names == sorted(set(groups))
    assert draws.shape == (20, len(names)) and (draws.sum(axis=1) == len(names)).all()


def test_clips_of_one_group_are_drawn_together() -> None:
    # Two groups of which one is all ones, the other all zeros: means are 0, 1/2 and 1, however many clips there are.
    values = np.repeat([1.0, 0.0], 500)
    groups = ["a"] * 500 + ["b"] * 500
    seen: set[float] = set()

    def mean(index: np.ndarray) -> dict[str, float]:
        seen.add(float(values[index].mean()))
        return {"mean": float(values[index].mean())}

    assert bootstrap_figures(mean, groups)["mean"] == [0.0, 1.0]
    assert seen == {0.0, 0.5, 1.0}


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = bootstrap_figures(
        lambda index: {"mean": float(values[index].mean())}, [str(i) for i in range(400)], 2000
    )
    low, high = interval["mean"] or (0.0, 0.0)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)
    assert low < values.mean() < high


def test_resamples_that_allow_no_figure_are_left_out() -> None:
    assert percentile_interval(np.array([np.nan, np.inf])) is None
    scores, said = np.array([0.9, 0.2]), np.array([True, False])
    report = report_clips(scores, said, scores > 0.5, ["a", "b"])
    assert report["intervals"]["roc_auc"] == [1.0, 1.0]  # both of one group is no ROC
    assert (report["positives"], report["negatives"], report["groups"], report["f1"]) == (1, 1, 2, 1.0)
