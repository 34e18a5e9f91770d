"""One stream with known answers, counted by this project's definitions and by those of microWakeWord and WeKws.

docs/definitions.md tells the differences and shows this table; the other two are written anew from what their programs
count, not taken from them.
"""

from pathlib import Path

import numpy as np
import pytest

from wakeword.detection.policy import Policy
from wakeword.evaluation.metrics import Keyword, ScoredStream, measure

PAGE = Path(__file__).resolve().parents[2] / "docs" / "definitions.md"
SHIFT = 20.0
HOUR = 180_000  # scores

KEYWORDS = [Keyword(100.0, 101.0), Keyword(200.0, 201.0), Keyword(300.0, 301.0), Keyword(400.0, 401.0)]
# (from second, seconds, score). Threshold 0.5.
BUMPS = [
    (100.8, 0.2, 0.9),  # a keyword found before its end
    (201.3, 0.2, 0.9),  # found 300 ms after its end
    (301.9, 0.2, 0.9),  # found 900 ms after its end: too late for us, fine for who only looks at the clip
    (400.5, 0.2, 0.3),  # missed
    (1000.0, 0.2, 0.8),  # something else, once
    (1500.0, 0.2, 0.7),  # something else ...
    (1500.7, 0.2, 0.7),  # ... that comes up again 700 ms later
    (2000.0, 3.0, 0.6),  # a sound that keeps the score up for 3 s
]


def stream() -> np.ndarray:
    made = np.zeros(HOUR)
    for start, length, score in BUMPS:
        made[round(start * 50) : round((start + length) * 50)] = score
    return made


def pieces(scores: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return what the others test on: a clip for each keyword, to 2 s after its end, and the rest as one recording."""
    clips, rest = [], np.ones(len(scores), dtype=bool)
    for start, end in KEYWORDS:
        span = slice(round(start * 50), round((end + 2) * 50))
        clips.append(scores[span])
        rest[span] = False
    return clips, scores[rest]


def ours(scores: np.ndarray) -> tuple[int, int]:
    """Return misses and false alarms."""
    found = measure([ScoredStream(scores, KEYWORDS, 3600.0)], Policy(0.5, 0.4), SHIFT, 500)
    return found.misses, found.false_alarms


def microwakeword(scores: np.ndarray, ignored: int = 25) -> tuple[int, int]:
    """Return misses and false alarms as microWakeWord counts.

    A keyword counts as found if the highest score of its clip exceeds the cutoff. In recordings without keywords each
    score above the cutoff is a false alarm unless one was counted among the `ignored` before it. No score is needed
    below the cutoff in between; the first scores of a recording are ignored likewise.
    """
    clips, rest = pieces(scores)
    misses = sum(clip.max() <= 0.5 for clip in clips)
    alarms, free_from = 0, ignored - 1
    for frame in np.flatnonzero(rest > 0.5).tolist():
        if frame >= free_from:
            alarms, free_from = alarms + 1, frame + ignored
    return misses, alarms


def wekws(scores: np.ndarray, skipped: int = 50) -> tuple[int, int]:
    """Return misses and false alarms as WeKws counts.

    A keyword is found if the highest score of its clip reaches the threshold. In other clips a score that does is a
    false alarm, and the count goes on `skipped` scores later.
    """
    clips, rest = pieces(scores)
    misses = sum(clip.max() < 0.5 for clip in clips)
    alarms = frame = 0
    while frame < len(rest):
        fires = rest[frame] >= 0.5
        alarms += int(fires)
        frame += skipped if fires else 1
    return misses, alarms


EXPECTED = {"this project": (2, 4), "microWakeWord": (1, 9), "WeKws": (1, 5)}


@pytest.mark.parametrize(
    ("count", "name"), [(ours, "this project"), (microwakeword, "microWakeWord"), (wekws, "WeKws")]
)
def test_each_definition_counts_what_was_worked_out_by_hand(count: object, name: str) -> None:
    assert callable(count) and count(stream()) == EXPECTED[name]


def test_the_page_shows_the_counts() -> None:
    rows = {line.split("|")[1].strip(): line for line in PAGE.read_text().splitlines() if line.startswith("| ")}
    for name, (misses, alarms) in EXPECTED.items():
        assert f"| {misses} of 4 | {alarms} |" in rows[name]


def test_the_three_agree_where_nothing_is_in_doubt() -> None:
    """Keywords found in time, and sounds that come up once and briefly."""
    scores = np.zeros(HOUR)
    for start in (100.8, 200.9, 1000.0, 1500.0):
        scores[round(start * 50) : round(start * 50) + 10] = 0.9
    assert ours(scores) == microwakeword(scores) == wekws(scores) == (2, 2)
