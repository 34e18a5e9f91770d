"""What fires where no keyword is, is found, put down to what was heard, and comes out the same every time."""

import json
from pathlib import Path

import numpy as np
import pytest

from wakeword.detection.policy import Policy
from wakeword.features.store import Segment, Stream
from wakeword.training.mining import Mined, mine, write_mined

POLICY = Policy(0.5, 0.4, refractory_ms=1000)


def stream(name: str) -> Stream:
    """A stream of 20 s with a word from 2 to 3 s and the phrase from 10 to 11 s."""
    word = Segment(2.0, 3.0, "negative", "sentence", "g", "w", None, True)
    phrase = Segment(10.0, 11.0, "positive", "phrase", "g", "p", 0, True)
    return Stream(name, "train", 0, 2000, [word, phrase])


def scores(peaks: dict[float, float]) -> np.ndarray:
    """Scores of a stream, one every 20 ms: 0 but for ramps of 0.1 s up to a height at a time."""
    result = np.zeros((1000, 1), np.float32)
    for time_s, height in peaks.items():
        last = round(time_s * 50) - 1  # score i is at (i + 1) * 20 ms
        result[last - 4 : last + 1, 0] = np.linspace(0.55, 1.0, 5) * height
    return result


def found(peaks: dict[float, float], most: int = 100) -> list[Mined]:
    return mine([stream("s")], lambda _: scores(peaks), POLICY, 20, 500, most)


def test_a_detection_is_mined_unless_a_keyword_allows_it() -> None:
    # Allowed: in the keyword and until 0.5 s after it; the peak at 11.54 s crosses the threshold within that.
    peaks = {1.0: 1.0, 2.5: 0.95, 10.5: 1.0, 11.54: 1.0, 13.0: 0.9, 15.0: 0.4}
    assert sorted(round(alarm.time_s, 2) for alarm in found(peaks)) == [1.0, 2.5, 13.0]


def test_an_alarm_is_put_at_its_peak_and_down_to_what_was_heard() -> None:
    clean, word, late, after = sorted(found({1.0: 0.8, 2.5: 0.95, 3.9: 0.7, 13.0: 0.9}), key=lambda alarm: alarm.time_s)
    assert word == Mined("s", pytest.approx(2.5), pytest.approx(0.95), 0, "w", "sentence")
    assert (late.clip, late.kind) == ("w", "sentence")
    assert (clean.clip, clean.kind) == (after.clip, after.kind) == (None, None)


def test_the_highest_scores_are_kept() -> None:
    kept = found({1.0: 0.8, 5.0: 0.95, 7.0: 0.7, 13.0: 0.9}, most=2)
    assert [alarm.time_s for alarm in kept] == [pytest.approx(5.0), pytest.approx(13.0)]


def test_each_phrase_is_searched_for_where_it_is_not() -> None:
    both = np.hstack([scores({10.5: 1.0}), scores({10.5: 1.0})])
    alarms = mine([stream("s")], lambda _: both, POLICY, 20, 500, 100)
    assert [alarm.phrase for alarm in alarms] == [1]


def test_the_file_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    rounds = {2: found({1.0: 0.8, 5.0: 0.8}), 4: []}
    write_mined(tmp_path / "a.json", rounds)
    write_mined(tmp_path / "b.json", {2: found({5.0: 0.8, 1.0: 0.8}), 4: []})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    stored = json.loads((tmp_path / "a.json").read_text())["rounds"]
    assert [round_["epoch"] for round_ in stored] == [2, 4]
    assert stored[0]["found"][0] == {
        "stream": "s", "time_s": 1.0, "score": 0.8, "phrase": 0, "clip": None, "kind": None,
    }  # fmt: skip
