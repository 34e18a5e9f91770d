"""What became of keywords and what is to blame for false alarms, on streams worked by hand."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.made_up import SHIFT, hour, scores, segment
from wakeword.base.errors import UserError
from wakeword.detection.policy import Policy
from wakeword.evaluation.judging import scored_streams
from wakeword.evaluation.metrics import det_curve
from wakeword.evaluation.outcomes import (
    appearing,
    collect,
    event_times,
    exposure_hours,
    judge_events,
    read_outcomes,
    sound_fingerprint,
    write_outcomes,
)
from wakeword.features.store import StreamSet

POLICY = Policy(0.5, 0.4)
STREAMS = [
    hour(
        "first",
        "clean",
        [
            segment(10, 11, "phrase", "anna", "a1"),
            segment(20, 56, "speech", "bert", "b1"),
            segment(100, 101, "phrase", "bert", "b2"),
            segment(110, 146, "music", "radio", "r1"),
        ],
    ),
    hour("second", "room", [segment(10, 11, "phrase", "anna", "a1"), segment(20, 56, "speech", "anna", "a2")], 1),
]
SCORES = [
    scores({10.8: 0.9, 30: 0.6, 100.9: 0.3, 120: 0.7, 146.5: 0.8, 2000: 0.55}),
    scores({10.8: 0.7, 13: 0.2, 40: 0.45}),
]


def test_each_keyword_is_hit_or_missed_and_each_false_alarm_has_its_clip() -> None:
    events = event_times(SCORES, 0, POLICY, SHIFT)
    keywords, alarms = judge_events(STREAMS, events, 0, 500)
    assert [(k.stream.name, k.segment.clip, k.event_s) for k in keywords] == [
        ("first", "a1", pytest.approx(10.82)),
        ("first", "b2", None),
        ("second", "a1", pytest.approx(10.82)),
    ]
    assert [(a.group, a.kind, a.time_s) for a in alarms] == [
        ("bert", "speech", pytest.approx(30.02)),
        ("radio", "music", pytest.approx(120.02)),
        ("radio", "music", pytest.approx(146.52)),  # half a second after the clip: still put down to it
        ("between clips of first", "background", pytest.approx(2000.02)),
    ]


def test_events_of_any_engine_will_do() -> None:
    keywords, alarms = judge_events(STREAMS, [[10.5, 100.2], [11.6]], 0, 500)
    assert [k.event_s for k in keywords] == [10.5, 100.2, None]
    assert [(a.group, a.time_s) for a in alarms] == [("anna", 11.6)]


def test_hours_by_group_add_up_to_those_outside_keywords() -> None:
    hours = exposure_hours(STREAMS, 0)
    assert hours["bert"] == hours["radio"] == hours["anna"] == pytest.approx(0.01)
    assert hours["between clips of first"] == pytest.approx(1 - 2 / 3600 - 0.02)
    assert sum(hours.values()) == pytest.approx(2 - 3 / 3600)


def test_what_appears_at_which_threshold_is_what_the_det_curve_counts() -> None:
    curve = det_curve(scored_streams(STREAMS, SCORES, 0), replace(POLICY, threshold=1.0, release=0.8), SHIFT)
    reached, alarms = appearing(STREAMS, SCORES, 0, POLICY, SHIFT, 500, curve.threshold)
    assert reached == pytest.approx([0.9, 0.3, 0.7])
    assert [(a.group, score) for a, score in alarms] == [
        ("radio", pytest.approx(0.8)),
        ("radio", pytest.approx(0.7)),
        ("bert", pytest.approx(0.6)),
        ("between clips of first", pytest.approx(0.55)),
        ("anna", pytest.approx(0.45)),
        ("between clips of second", pytest.approx(0.2)),
    ]
    appeared = np.array([score for _, score in alarms])
    for threshold, misses, false_alarms in zip(curve.threshold, curve.misses, curve.false_alarms, strict=True):
        assert int((reached < threshold).sum()) == misses
        assert int((appeared >= threshold).sum()) == false_alarms


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_counts_are_those_of_the_det_curve_for_bumps_far_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.permutation(300)[:40] * 10.0 + 5
    words = [segment(start, start + 1, "phrase", "g", f"c{start}") for start in sorted(starts[:15])]
    stream = hour("one", "clean", words)
    made = scores({start + 0.5: float(rng.uniform(0.05, 1)) for start in starts})
    curve = det_curve(scored_streams([stream], [made], 0), Policy(1.0, 0.8), SHIFT)
    reached, alarms = appearing([stream], [made], 0, Policy(1.0, 0.8), SHIFT, 500, curve.threshold)
    appeared = np.array([score for _, score in alarms])
    assert [int((reached < t).sum()) for t in curve.threshold] == curve.misses.tolist()
    assert [int((appeared >= t).sum()) for t in curve.threshold] == curve.false_alarms.tolist()


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 0.99))
def test_a_swept_threshold_fires_as_the_policy_of_that_threshold_does(seed: int, ratio: float) -> None:
    """The release threshold is put on the grid of scores, so that scores at its very edge fall on the same side."""
    rng = np.random.default_rng(seed)
    made = np.zeros((int(3600 * 1000 / SHIFT), 1), dtype=np.float32)
    made[:2000, 0] = np.round(rng.random(2000) * 20) / 20
    stream = hour("one", "clean", [])
    for threshold in (0.3, 0.55, 0.9):
        _, alarms = appearing([stream], [made], 0, Policy(1.0, ratio), SHIFT, 500, np.array([threshold]))
        fired = event_times([made], 0, Policy(threshold, threshold * ratio), SHIFT)[0]
        kept = [time for index, time in enumerate(fired) if all(time - other > 1.0 for other in fired[:index])]
        assert [alarm.time_s for alarm, _ in alarms] == kept


def test_streams_that_sound_otherwise_are_told_apart(tmp_path: Path) -> None:
    features, audio = np.zeros((0, 40), dtype=np.float16), np.arange(10, dtype=np.int16)
    one, softer = (StreamSet([], "f", features, sound) for sound in (audio, audio // 2))
    assert sound_fingerprint(one) == sound_fingerprint(StreamSet([], "g", features, audio.copy()))
    assert sound_fingerprint(one) == hashlib.sha256(audio.tobytes()).hexdigest()[:16] != sound_fingerprint(softer)


def test_no_threshold_and_too_many(tmp_path: Path) -> None:
    reached, alarms = appearing(STREAMS, SCORES, 0, POLICY, SHIFT, 500, np.zeros(0))
    assert reached.tolist() == [0, 0, 0] and alarms == []
    reached, _ = appearing(STREAMS, SCORES, 0, POLICY, SHIFT, 500, np.linspace(0.25, 1, 5000))
    assert reached == pytest.approx([0.9, 0.3, 0.7], abs=0.003)


def test_the_file_holds_it_all(tmp_path: Path) -> None:
    at_point = judge_events(STREAMS, event_times(SCORES, 0, POLICY, SHIFT), 0, 500)
    swept = appearing(STREAMS, SCORES, 0, POLICY, SHIFT, 500, np.array([0.9, 0.7, 0.6, 0.3]))
    whole = collect(STREAMS, 0, at_point, swept)
    write_outcomes(tmp_path / "outcomes.csv", {"hey, you": whole, "stop": whole}, "a5")
    text = (tmp_path / "outcomes.csv").read_text()
    back = read_outcomes(text, "outcomes.csv")
    assert list(back) == ["hey, you", "stop"]
    for read in back.values():
        assert (read.keys, read.groups, read.hit.tolist()) == (whole.keys, whole.groups, [True, False, True])
        assert read.scores == pytest.approx(whole.scores) and read.alarm_scores == pytest.approx(whole.alarm_scores)
        assert read.sound == "a5"
        assert read.alarm_groups == whole.alarm_groups and read.point_groups == whole.point_groups
        assert read.hours == pytest.approx(dict(whole.hours), rel=1e-5)
    write_outcomes(tmp_path / "again.csv", {"hey, you": whole, "stop": whole}, "a5")
    assert (tmp_path / "again.csv").read_text() == text


@pytest.mark.parametrize("text", ["", "a,b\n", "what,phrase\nkeyword,x\n"])
def test_another_file_is_refused_by_name(text: str) -> None:
    with pytest.raises(UserError, match=r"other\.csv holds no outcomes"):
        read_outcomes(text, "other.csv")
