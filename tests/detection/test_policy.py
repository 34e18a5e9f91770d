"""The policy, against its definition taken frame by frame with exact fractions."""

import json
import math
from collections import deque
from dataclasses import asdict, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wakeword.detection.policy import GRID, Event, Policy, PolicyState, detect, smooth, to_grid

SHIFT = 20.0


def reference(scores: list[float], policy: Policy) -> list[int]:
    """The frames of the events, straight from the definition in `Policy`. Exact for scores that are dyadic."""
    recent = deque([Fraction(0)] * policy.smoothing_frames, maxlen=policy.smoothing_frames)
    votes: deque[bool] = deque(maxlen=policy.votes_window)
    armed, last, events = True, None, []
    for frame, score in enumerate(scores):
        recent.append(Fraction(score) if math.isfinite(score) else Fraction(0))
        mean = sum(recent) / policy.smoothing_frames
        if not armed and mean < Fraction(policy.release):
            armed = True
        votes.append(armed and mean >= Fraction(policy.threshold))
        rested = last is None or (frame - last) * SHIFT >= policy.refractory_ms
        if armed and sum(votes) >= policy.votes and rested:
            events.append(frame)
            last, armed = frame, False
            votes.clear()
    return events


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    threshold = draw(st.integers(1, 64))
    window = draw(st.integers(1, 6))
    return Policy(
        threshold=threshold / 64,
        release=draw(st.integers(1, threshold)) / 64,
        smoothing_frames=draw(st.sampled_from([1, 2, 3, 4, 5, 8])),
        votes=draw(st.integers(1, window)),
        votes_window=window,
        refractory_ms=draw(st.sampled_from([0, 1, 20, 50, 60, 140, 400])),
    )


SCORES = st.lists(
    st.one_of(st.integers(0, 64).map(lambda k: k / 64), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0])),
    max_size=120,
)


@settings(max_examples=350)
@given(policies(), SCORES, st.lists(st.integers(0, 12), max_size=40))
def test_events_are_those_of_the_definition_whatever_the_chunks(
    policy: Policy, scores: list[float], sizes: list[int]
) -> None:
    expected = reference(scores, policy)
    array = np.array(scores, dtype=np.float32)
    assert [event.frame for event in detect(array, policy, SHIFT)] == expected

    state, chunked, start = PolicyState(policy, SHIFT), [], 0
    for size in [*sizes, len(scores)]:
        chunked += state.process(array[start : start + size])
        start += size
    assert chunked == detect(array, policy, SHIFT)
    assert state.frames == len(scores)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 4), st.lists(st.integers(1, 300), max_size=30))
def test_chunking_changes_nothing_for_scores_of_any_precision(
    seed: int, smoothing: int, votes: int, sizes: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random(1500).astype(np.float32) ** rng.integers(1, 6)
    policy = Policy(0.9**smoothing**0.5, 0.2, smoothing, votes, 5, 100)
    whole = detect(scores, policy, SHIFT)
    state, chunked, start = PolicyState(policy, SHIFT), [], 0
    for size in [*sizes, len(scores)]:
        chunked += state.process(scores[start : start + size])
        start += size
    assert chunked == whole


def test_an_event_says_when_and_with_what_score() -> None:
    scores = np.zeros(100, dtype=np.float32)
    scores[49:53] = 0.75
    assert detect(scores, Policy(0.5, 0.4), SHIFT) == [Event(49, 1.0, 0.75)]
    assert detect(scores, Policy(0.5, 0.4, smoothing_frames=4), SHIFT) == [Event(51, 1.04, 0.5625)]
    assert [e.frame for e in detect(scores, Policy(0.5, 0.4, votes=3, votes_window=3), SHIFT)] == [51]
    assert detect(scores, Policy(0.5, 0.4, votes=5, votes_window=9), SHIFT) == []


def test_it_rearms_only_below_release_and_after_the_refractory_time() -> None:
    scores = np.array([0.9, 0.6, 0.9, 0.3, 0.9, 0.9, 0.1, 0.9])
    assert [e.frame for e in detect(scores, Policy(0.8, 0.5, refractory_ms=0), SHIFT)] == [0, 4, 7]
    assert [e.frame for e in detect(scores, Policy(0.8, 0.7, refractory_ms=0), SHIFT)] == [0, 2, 4, 7]
    # 100 ms are five frames; at the fifth the detector is armed and the score still high.
    assert [e.frame for e in detect(scores, Policy(0.8, 0.5, refractory_ms=100), SHIFT)] == [0, 5]
    assert [e.frame for e in detect(scores, Policy(0.8, 0.5, refractory_ms=101), SHIFT)] == [0, 7]


def test_an_event_uses_up_its_votes() -> None:
    scores = np.array([0.9, 0.9, 0.1, 0.1, 0.9, 0.1, 0.9])
    policy = Policy(0.8, 0.5, votes=2, votes_window=4, refractory_ms=0)
    assert [e.frame for e in detect(scores, policy, SHIFT)] == [1, 6]


def test_a_score_at_the_threshold_counts_though_neither_is_a_whole_binary_fraction() -> None:
    for value in (0.1, 0.3, 0.7):
        scores = np.array([0.0, value, value, value])
        assert [e.frame for e in detect(scores, Policy(value, value), SHIFT)] == [1]
        assert [e.frame for e in detect(scores, Policy(value, value, 3), SHIFT)] == [3]


def test_nan_never_fires_and_is_forgotten() -> None:
    bad = np.full(50, np.nan)
    policy = Policy(0.01, 0.01, smoothing_frames=10, refractory_ms=0)
    state = PolicyState(policy, SHIFT)
    assert state.process(bad) == []
    assert state.process(np.array([np.inf, -np.inf])) == []
    later = np.linspace(0, 1, 40)
    assert [e.score for e in state.process(later)] == [e.score for e in detect(later, policy, SHIFT)] != []


def test_the_moving_average_does_not_drift_and_memory_stays() -> None:
    rng = np.random.default_rng(0)
    policy = Policy(0.999, 0.5, smoothing_frames=25, votes=2, votes_window=7)
    state = PolicyState(policy, SHIFT)
    for _ in range(30):
        state.process(rng.random(100_000).astype(np.float32))
    for _ in range(30):
        state.process(np.ones(1))
    assert state._history.nbytes + state._trace.votes.nbytes < 1000
    state = PolicyState(Policy(1.0, 1.0, smoothing_frames=25), SHIFT)
    state.process(np.tile(rng.random(1000), 2000))
    # Exactly 1 is reached after exactly 25 ones, and lost at once.
    assert [e.frame for e in state.process(np.ones(25))] == [2_000_024]
    assert smooth(np.append(np.tile([0.1, 0.2, 0.7], 300_000), np.zeros(3)), 3)[-1] == 0.0


def test_frames_are_counted_far_beyond_32_bits() -> None:
    state = PolicyState(Policy(0.5, 0.5), SHIFT)
    state.process(np.zeros(5))
    state.frames = 50 * 3600 * 24 * 365 * 100  # a hundred years on
    assert state.process(np.array([0.0, 1.0])) == [Event(157_680_000_001, 157_680_000_002 * 0.02, 1.0)]


def test_smoothing_is_the_causal_mean() -> None:
    scores = np.random.default_rng(3).random(500)
    kernel = np.full(7, 1 / 7)
    expected = np.convolve(np.concatenate([np.zeros(6), scores]), kernel, mode="valid")
    assert np.abs(smooth(scores, 7) - expected).max() < 2 * GRID
    float32 = scores.astype(np.float32)
    assert np.array_equal(smooth(float32, 1), float32.astype(np.float64))
    assert np.array_equal(smooth(np.array([-1.0, 2.0, np.nan]), 1), [0.0, 1.0, 0.0])
    assert to_grid(0.5) == 0.5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 0.0),
        ("threshold", 1.5),
        ("threshold", math.nan),
        ("threshold", "high"),
        ("threshold", True),
        ("threshold", np.True_),
        ("threshold", np.float32(np.nan)),
        ("threshold", np.float16(0.0)),
        ("release", 0.6),
        ("release", 0),
        ("smoothing_frames", 0),
        ("smoothing_frames", 2.5),
        ("votes", 0),
        ("votes", 4),
        ("votes_window", 0),
        ("refractory_ms", -1),
        ("refractory_ms", True),
    ],
)
def test_bad_values_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(Policy(0.5, 0.4, 5, 2, 3, 700), **{field: value})


def test_a_policy_is_read_back_from_its_dictionary() -> None:
    policy = Policy(0.5, 0.4, 5, 2, 3, 700)
    assert Policy.from_dict(asdict(policy)) == policy
    with pytest.raises(ValueError, match="lacks votes_window"):
        Policy.from_dict({key: value for key, value in asdict(policy).items() if key != "votes_window"})
    with pytest.raises(ValueError, match="unknown field mood"):
        Policy.from_dict({**asdict(policy), "mood": 1})


@pytest.mark.parametrize("kind", [float, np.float16, np.float32, np.float64, Fraction])
def test_thresholds_may_be_numbers_of_any_kind(kind: Any) -> None:
    policy = Policy(kind(0.5), kind(0.25))
    assert policy == Policy(0.5, 0.25) and json.loads(json.dumps(asdict(policy))) == asdict(policy)


def test_scores_must_be_one_dimensional_and_the_frame_shift_positive() -> None:
    with pytest.raises(ValueError, match=r"\(3, 1\)"):
        detect(np.zeros((3, 1)), Policy(0.5, 0.5), SHIFT)
    with pytest.raises(ValueError, match="frame_shift_ms"):
        PolicyState(Policy(0.5, 0.5), 0)
    assert PolicyState(Policy(0.5, 0.5), SHIFT).process(np.zeros(0)) == []
