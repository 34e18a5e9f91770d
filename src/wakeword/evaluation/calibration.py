"""Whether scores are probabilities: expected calibration error, before and after one temperature fitted on dev.

Both are of Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks (arXiv:1706.04599). The exported
file is not changed: one temperature keeps the order of the scores, so it moves no figure of detection.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from wakeword.evaluation.bootstrap import bootstrap_figures

BINS = 15
_EDGE = 1e-6  # a score of 0 or 1 stands for what float32 could not tell from it
_LOG_RANGE = (-4.0, 4.0)  # of the temperature's natural logarithm


class Reliability(NamedTuple):
    """For each bin that is not empty: clips in it, their mean score, the share that is the phrase; each `(bins,)`."""

    clips: np.ndarray
    score: np.ndarray
    share: np.ndarray


def reliability(scores: np.ndarray, is_phrase: np.ndarray, bins: int = BINS) -> Reliability:
    """Sort clips into equal bins of score, each with its upper edge.

    Args:
        scores: `(n,)` in 0..1.
        is_phrase: `(n,)` bool.
    """
    place = np.searchsorted(np.linspace(0.0, 1.0, bins + 1)[1:-1], scores, side="left")
    clips = np.bincount(place, minlength=bins)
    filled = clips > 0
    score = np.bincount(place, scores, bins)[filled] / clips[filled]
    share = np.bincount(place, is_phrase, bins)[filled] / clips[filled]
    return Reliability(clips[filled], score, share)


def expected_calibration_error(scores: np.ndarray, is_phrase: np.ndarray, bins: int = BINS) -> float:
    """Return the mean over clips of how far their bin's mean score is from its share of the phrase."""
    found = reliability(scores, is_phrase, bins)
    return float(np.sum(found.clips * np.abs(found.share - found.score)) / len(scores))


def negative_log_likelihood(scores: np.ndarray, is_phrase: np.ndarray) -> float:
    """Return the mean negative log-likelihood, in nats, of what was said."""
    return float(np.mean(np.logaddexp(0.0, np.where(is_phrase, -1.0, 1.0) * _logits(scores))))


def at_temperature(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Return the scores whose logits are divided by `temperature`."""
    cooled: np.ndarray = special.expit(_logits(scores) / temperature)
    return cooled


def fit_temperature(scores: np.ndarray, is_phrase: np.ndarray) -> float:
    """Return the temperature, from 0.018 to 55, that makes what was said likeliest.

    Raises:
        ValueError: clips of the phrase or of all else are missing.
    """
    if is_phrase.all() or not is_phrase.any():
        raise ValueError("a temperature is fitted on clips of the phrase and on others; one kind is missing")
    sign, logits = np.where(is_phrase, -1.0, 1.0), _logits(scores)

    # As a function of 1 / temperature it is convex, so of the logarithm it has one minimum.
    def loss(log_temperature: float) -> float:
        return float(np.mean(np.logaddexp(0.0, sign * logits * np.exp(-log_temperature))))

    found = optimize.minimize_scalar(loss, bounds=_LOG_RANGE, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def report_calibration(
    temperature: float, dev_clips: int, scores: np.ndarray, is_phrase: np.ndarray, groups: Sequence[str]
) -> dict[str, Any]:
    """Return ECE and likelihood of test clips, as scored and at a temperature fitted on dev, with intervals.

    Args:
        temperature, dev_clips: what was fitted, and on how many clips.
        scores: the highest score of each test clip, `(n,)`.
        is_phrase: `(n,)` bool.
        groups: who or what made each clip; the intervals are over resamples of them.
    """
    versions = {"before": scores, "after": at_temperature(scores, temperature)}

    def figures(index: np.ndarray) -> dict[str, float]:
        if not index.size:
            raise ValueError("no clip")
        said = is_phrase[index]
        errors = {f"ece_{name}": expected_calibration_error(each[index], said) for name, each in versions.items()}
        losses = {f"nll_{name}": negative_log_likelihood(each[index], said) for name, each in versions.items()}
        return errors | losses

    return {
        **figures(np.arange(len(scores))),
        "intervals": bootstrap_figures(figures, groups),
        "temperature": temperature,
        "bins": BINS,
        "clips": len(scores),
        "dev_clips": dev_clips,
    }


def _logits(scores: np.ndarray) -> np.ndarray:
    logits: np.ndarray = special.logit(np.clip(np.asarray(scores, dtype=np.float64), _EDGE, 1.0 - _EDGE))
    return logits
