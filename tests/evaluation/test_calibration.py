"""Calibration against scikit-learn's curve, scipy's own optimum, and scores whose truth was drawn from them."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from wakeword.evaluation.calibration import (
    at_temperature,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    report_calibration,
)

CLIPS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60)


@settings(max_examples=100)
@given(CLIPS, st.sampled_from([2, 10, 15]))
def test_reliability_is_that_of_scikit_learn(clips: list[tuple[float, bool]], bins: int) -> None:
    scores, said = (np.array(column) for column in zip(*clips, strict=True))
    found = reliability(scores, said, bins)
    assert found.clips.sum() == len(clips)
    share, score = calibration_curve(said, scores, n_bins=bins) if 0 < said.sum() < len(said) else (None, None)
    if share is not None:
        assert found.share == pytest.approx(share) and found.score == pytest.approx(score)
        assert expected_calibration_error(scores, said, bins) == pytest.approx(
            np.average(np.abs(share - score), weights=found.clips)
        )


@settings(max_examples=60)
@given(CLIPS)
def test_likelihood_is_that_of_scikit_learn(clips: list[tuple[float, bool]]) -> None:
    scores, said = (np.array(column) for column in zip(*clips, strict=True))
    expected = log_loss(said, np.clip(scores, 1e-6, 1 - 1e-6), labels=[False, True])
    assert negative_log_likelihood(scores, said) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(max_examples=60)
@given(CLIPS)
def test_no_temperature_makes_dev_likelier(clips: list[tuple[float, bool]]) -> None:
    scores, said = (np.array(column) for column in zip(*clips, strict=True))
    assume(0 < said.sum() < len(said))
    best = negative_log_likelihood(at_temperature(scores, fit_temperature(scores, said)), said)
    for temperature in np.geomspace(0.02, 50, 40):
        assert best <= negative_log_likelihood(at_temperature(scores, temperature), said) + 1e-4
    assert (np.diff(at_temperature(np.sort(scores), 1.7)) >= 0).all()


def drawn(seed: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores that are too sure by a known temperature, and what was said."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, 20_000)
    return special.expit(logits * temperature), rng.random(20_000) < special.expit(logits)


def test_scores_that_are_too_sure_are_found_out_and_mended() -> None:
    dev, test = drawn(0, 2.5), drawn(1, 2.5)
    temperature = fit_temperature(*dev)
    assert temperature == pytest.approx(2.5, rel=0.05)
    truth = optimize.brentq(
        lambda t: np.mean((special.expit(special.logit(dev[0]) / t) - dev[1]) * special.logit(dev[0])), 0.5, 20
    )
    assert temperature == pytest.approx(truth, rel=1e-3)
    report = report_calibration(temperature, len(dev[0]), *test, [str(i % 50) for i in range(20_000)])
    assert report["ece_before"] > 0.08 and report["ece_after"] < 0.015
    assert report["nll_after"] < report["nll_before"]
    low, high = report["intervals"]["ece_before"]
    assert low <= report["ece_before"] <= high and high - low < 0.02


def test_one_kind_of_clip_fits_no_temperature() -> None:
    with pytest.raises(ValueError, match="one kind is missing"):
        fit_temperature(np.array([0.3, 0.9]), np.array([True, True]))


def test_calibration_worked_by_hand() -> None:
    scores, said = np.array([0.95, 0.95, 0.05, 0.05]), np.array([True, False, False, False])
    assert expected_calibration_error(scores, said, 10) == pytest.approx((0.45 + 0.05) / 2)
    assert at_temperature(np.array([0.5, 0.9]), 2.0) == pytest.approx([0.5, 0.75])
