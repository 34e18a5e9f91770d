"""What a detector makes of clips heard alone: figures whatever the threshold, and at the operating point."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wakeword.evaluation.bootstrap import bootstrap_figures
from wakeword.evaluation.metrics import clip_figures


def average_precision(scores: np.ndarray, is_phrase: np.ndarray) -> float:
    """Return the mean precision over recall, as a step function of the threshold: `sum((R_n - R_(n-1)) * P_n)`.

    Args:
        scores: `(n,)`; of equal scores all are taken at once.
        is_phrase: `(n,)` bool.

    Raises:
        ValueError: no clip is of the phrase.
    """
    total = int(is_phrase.sum())
    if not total:
        raise ValueError("average precision needs a clip of the phrase")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    taken = np.flatnonzero(last) + 1
    found = np.cumsum(is_phrase[order])[last]
    return float(np.sum(np.diff(found, prepend=0) / total * (found / taken)))


def f1(fired: np.ndarray, is_phrase: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall of decisions, `(n,)` bool; 0 where nothing was right.

    Raises:
        ValueError: no clip fired and none is of the phrase.
    """
    either = int(fired.sum()) + int(is_phrase.sum())
    if not either:
        raise ValueError("F1 needs a clip that fires or one of the phrase")
    return 2.0 * int((fired & is_phrase).sum()) / either


def report_clips(scores: np.ndarray, is_phrase: np.ndarray, fired: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """Return the figures of clips with counts, and intervals over resampled groups.

    Args:
        scores: the highest score of each clip, `(n,)`.
        is_phrase, fired: `(n,)` bool: what is said, and whether the detector fired at its operating point.
        groups: who or what made each clip.

    Raises:
        ValueError: there is no clip of the phrase, or none of anything else.
    """

    def figures(index: np.ndarray) -> dict[str, float]:
        drawn, said = scores[index], is_phrase[index]
        ranked = clip_figures(drawn[said], drawn[~said])
        return {
            "roc_auc": ranked.roc_auc,
            "pauc": ranked.pauc,
            "eer": ranked.eer,
            "average_precision": average_precision(drawn, said),
            "f1": f1(fired[index], said),
        }

    return {
        **figures(np.arange(len(scores))),
        "positives": int(is_phrase.sum()),
        "negatives": int((~is_phrase).sum()),
        "groups": len(set(groups)),
        "intervals": bootstrap_figures(figures, groups),
    }
