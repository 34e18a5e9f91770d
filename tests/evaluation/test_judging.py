"""What training selects by and controls its loss by, on streams worked by hand."""

import pytest

from tests.evaluation.made_up import SHIFT, hour, scores, segment
from wakeword.detection.policy import Policy
from wakeword.evaluation.config import EvaluateConfig, Votes
from wakeword.evaluation.judging import false_alarms_at, judge_streams, report_policy, training_policy

CONFIG = EvaluateConfig(smoothing_frames=[1])
STREAMS = [
    hour("first", "clean", [segment(10, 11, "phrase", "anna", "a1"), segment(20, 56, "speech", "bert", "b1")]),
    hour("second", "room", [segment(10, 11, "phrase", "anna", "a1")], 1),
]
SCORES = [scores({10.8: 0.9, 30: 0.6, 120: 0.7, 120.5: 0.9, 2000: 0.45}), scores({10.8: 0.7, 13: 0.2, 40: 0.55})]


def test_false_alarms_are_counted_at_a_fixed_threshold_over_the_hours_outside_keywords() -> None:
    # At 30 s and 120 s of the first (half a second later the detector still waits) and at 40 s of the second stream.
    found = false_alarms_at(0.5, STREAMS, SCORES, SHIFT, CONFIG)
    assert found["false_alarms"] == 3
    assert found["hours"] == pytest.approx(sum(stream.seconds for stream in STREAMS) / 3600 - 2 / 3600)
    assert found["fah"] == pytest.approx(found["false_alarms"] / found["hours"])
    assert [false_alarms_at(at, STREAMS, SCORES, SHIFT, CONFIG)["false_alarms"] for at in (0.3, 0.65, 0.95)] == [
        4,
        1,
        0,
    ]


def test_what_training_selects_by_has_the_error_of_its_recordings_each_counted_once() -> None:
    # Five recordings, each heard in both streams; all are found above the one other sound.
    said = [segment(10 * at, 10 * at + 1, "phrase", "anna", f"a{at}") for at in range(1, 6)]
    streams = [hour("first", "clean", said), hour("second", "room", said, 1)]
    bumps = {10.0 * at + 0.8: 0.9 for at in range(1, 6)}
    found = judge_streams(streams, [scores({**bumps, 2000: 0.3}), scores(bumps)], SHIFT, CONFIG)
    # Wilson's low end at one standard error, of n successes in n trials, is n / (n + 1).
    assert found == pytest.approx({"mean_recall": 1.0, "standard_error": 1 / 6, "frr": 0.0}, abs=1e-3)


def test_the_policy_is_that_of_the_first_candidates() -> None:
    config = EvaluateConfig(smoothing_frames=[4, 2], votes=[Votes(needed=2, of=3), Votes()], release_ratio=0.5)
    assert training_policy(0.6, config) == Policy(0.6, 0.3, 4, 2, 3, 1000)


def test_a_recording_heard_twice_is_one_trial_of_the_pooled_interval() -> None:
    # "a1" is found in the first stream and missed in the second: half a miss of one recording, not one of two.
    policy = training_policy(0.8, CONFIG)
    found = report_policy(STREAMS, SCORES, 0, policy, SHIFT, CONFIG.tolerance_ms)
    assert (found["misses"], found["keywords"], found["distinct_keywords"]) == (1, 2, 1)
    # Wilson by hand: 1/2 of 1, z = 1.96: (1/2 + z²/2 ± z √(1/4 + z²/4)) / (1 + z²).
    assert found["frr_interval"] == pytest.approx([0.0546, 0.9454], abs=1e-4)
    assert {name: one["frr"] for name, one in found["conditions"].items()} == {"clean": 0.0, "room": 1.0}
