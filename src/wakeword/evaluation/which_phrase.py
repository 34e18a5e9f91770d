"""Which of several phrases a clip says, or that it says none: one answer a clip, as a classifier gives."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from wakeword.corpus.manifest import SAMPLE_RATE, Clip
from wakeword.corpus.shards import Corpus
from wakeword.evaluation.intervals import proportion

# In a report beside the phrases; the blank at its start keeps it apart from them, for no phrase has one.
KEY = " which_phrase"
SPEECH, NOISE = -1, -2
_NONE = SPEECH


class Heard(NamedTuple):
    """Clips heard alone: their highest scores `(n, phrases)`, and what each is, `(n,)` int.

    It is the index of a phrase, `SPEECH` where something else is said, or `NOISE`.
    """

    scores: np.ndarray
    truth: np.ndarray


def usual_number(clips: Sequence[Clip]) -> int:
    """Return how many clips a phrase has on average, which is how many of other speech and of noise stand for these."""
    said = [clip.origin.phrase for clip in clips if clip.origin.phrase is not None]
    return round(len(said) / max(1, len(set(said))))


def seconds_of_noise(corpus: Corpus, recordings: Sequence[Clip], most: int) -> list[np.ndarray]:
    """Cut recordings of noise into pieces of a second, `(SAMPLE_RATE,)` int16, and return at most so many.

    The recordings take turns, so that all are heard.
    """
    longest = max((clip.samples // SAMPLE_RATE for clip in recordings), default=0)
    return [
        corpus.audio(clip)[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE]
        for second in range(longest)
        for clip in recordings
        if (second + 1) * SAMPLE_RATE <= clip.samples
    ][:most]


def gather(
    clips: Sequence[Clip], clip_scores: Sequence[np.ndarray], noise_scores: Sequence[np.ndarray], phrases: Sequence[str]
) -> Heard:
    """Return every clip of a phrase, the first clips of other speech, as many as a phrase has, and the noise.

    Args:
        clips: in the order of their ids, which is no order of anything else.
        clip_scores, noise_scores: of each clip and each piece of noise, `(frames, phrases)`.
        phrases: the names of the columns.
    """
    others = [number for number, clip in enumerate(clips) if clip.origin.phrase is None][: usual_number(clips)]
    said = [number for number, clip in enumerate(clips) if clip.origin.phrase is not None]
    truth = [phrases.index(phrase) for number in said if (phrase := clips[number].origin.phrase) is not None]
    heard = [clip_scores[number] for number in said + others] + list(noise_scores)
    return Heard(
        np.stack([scores.max(axis=0) for scores in heard]).astype(np.float64),
        np.array(truth + [SPEECH] * len(others) + [NOISE] * len(noise_scores)),
    )


def answers(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return the phrase of each clip's highest score where that exceeds the threshold, elsewhere -1; `(n,)` int."""
    return np.where(scores.max(axis=1) > threshold, scores.argmax(axis=1), _NONE)


def choose_threshold(heard: Heard) -> float:
    """Return the threshold with most right answers; the middle of the widest gap between scores that has them."""
    best, phrase = heard.scores.max(axis=1), heard.scores.argmax(axis=1)
    lows = np.append(0.0, np.unique(best))
    highs = np.append(lows[1:], 1.0)
    right_if_answered, right_if_not = np.sort(best[phrase == heard.truth]), np.sort(best[heard.truth < 0])
    right = np.searchsorted(right_if_not, lows, side="right") - np.searchsorted(right_if_answered, lows, side="right")
    chosen = np.lexsort((highs - lows, right))[-1]
    return float((lows[chosen] + highs[chosen]) / 2)


def report_which_phrase(test: Heard, dev: Heard, phrases: Sequence[str]) -> dict[str, Any]:
    """Return the share of test clips that get the right answer, at the threshold that gives most of them on dev.

    The clips are those of Warden's task of ten words, "unknown" and "silence" (arXiv:1804.03209), whatever the phrases;
    but other speech and noise have one answer, none of the phrases. `taken_for` counts the wrong phrases.

    Args:
        test, dev: with at least one clip; test with one of each phrase, which the split stage sees to.
        phrases: the names of the columns.
    """
    threshold = choose_threshold(dev)
    found = answers(test.scores, threshold)
    rows = {index: _row(found[test.truth == index], index, phrases) for index in np.unique(test.truth).tolist()}
    return {
        **_accuracy(found, test.truth),
        "threshold": threshold,
        "dev": _accuracy(answers(dev.scores, threshold), dev.truth),
        "phrases": {phrase: rows[index] for index, phrase in enumerate(phrases)},
        "others": {name: rows[kind] for name, kind in (("speech", SPEECH), ("noise", NOISE)) if kind in rows},
    }


def _row(found: np.ndarray, truth: int, phrases: Sequence[str]) -> dict[str, Any]:
    wrong = {phrase: int((found == index).sum()) for index, phrase in enumerate(phrases) if index != truth}
    taken_for = {phrase: count for phrase, count in wrong.items() if count}
    return {**_accuracy(found, np.full(len(found), truth)), "taken_for": taken_for}


def _accuracy(found: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    right, clips = int((found == np.where(truth < 0, _NONE, truth)).sum()), len(found)
    interval = list(proportion(right, clips))
    return {"accuracy": right / clips, "accuracy_interval": interval, "right": right, "clips": clips}
