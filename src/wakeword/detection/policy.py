"""When scores become a detection: the streaming policy that evaluation measures and the runtime ships.

Smoothing and comparing are done in whole steps of 2^-40 (about 1e-12), so sums are exact: the result cannot depend on
how the scores were cut into chunks, and nothing drifts however long a stream runs. Scores in float32 of at least
2^-17 lose nothing by it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

GRID = 2.0**-40
_LONGEST = 4096  # frames; keeps sums of grid steps exact in 53 bits
_LONGEST_REFRACTORY_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Policy:
    """How scores become detection events. Scores before the stream's start count as 0, and so do non-finite ones.

    At each frame, in this order:

    1. The smoothed score is the mean of the last `smoothing_frames` scores.
    2. If the detector is not armed and the smoothed score is below `release`, it is armed again.
    3. If it is armed and the smoothed score is at least `threshold`, the frame is a vote.
    4. If it is armed, at least `votes` of the last `votes_window` frames are votes, and the last event is at least
       `refractory_ms` ago, an event fires; this disarms the detector and clears all votes.

    A detector starts armed.

    Attributes:
        threshold: in (0, 1].
        release: the hysteresis' lower edge, in (0, threshold].
        smoothing_frames: length of the causal moving average, 1 for none.
        votes: votes needed, 1 or more.
        votes_window: frames among which they are counted, at least `votes`.
        refractory_ms: least time between two events.

    Raises:
        ValueError: a value is out of range; the message names the field.
    """

    threshold: float
    release: float
    smoothing_frames: int = 1
    votes: int = 1
    votes_window: int = 1
    refractory_ms: int = 1000

    def __post_init__(self) -> None:
        for name in ("threshold", "release"):
            value = getattr(self, name)
            number = isinstance(value, Real) and not isinstance(value, bool)
            if not number or not 0 <= value <= 1 or float(value) < GRID:
                raise ValueError(f"{name} is {value!r}; it must be a number above 0 and at most 1")
            object.__setattr__(self, name, float(value))  # NumPy's own scalars are no JSON
        if self.release > self.threshold:
            raise ValueError(f"release is {self.release!r}; it must not exceed threshold, {self.threshold!r}")
        limits = {
            "smoothing_frames": (1, _LONGEST),
            "votes_window": (1, _LONGEST),
            "votes": (1, self.votes_window),
            "refractory_ms": (0, _LONGEST_REFRACTORY_MS),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"{name} is {value!r}; it must be a whole number from {low} to {high}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Policy":
        """Build a policy from the JSON object that `dataclasses.asdict` gives.

        Raises:
            ValueError: a field is missing, unknown or out of range; the message names it.
        """
        names = {field.name for field in fields(cls)}
        if missing := sorted(names - set(values)):
            raise ValueError(f"the policy lacks {', '.join(missing)}")
        if unknown := sorted(set(values) - names):
            raise ValueError(f"the policy has an unknown field {', '.join(unknown)}")
        return cls(**values)


class Event(NamedTuple):
    """One firing: at which score it happened, when, and the smoothed score there."""

    frame: int
    time_s: float
    score: float


class PolicyState:
    """A detector of one phrase in the middle of a stream. Its memory is constant, whatever the stream's length.

    Args:
        policy: what to do.
        frame_shift_ms: time from one score to the next; score i (from 0) is at `(i + 1) * frame_shift_ms`.
    """

    def __init__(self, policy: Policy, frame_shift_ms: float) -> None:
        if not (math.isfinite(frame_shift_ms) and frame_shift_ms > 0):
            raise ValueError(f"frame_shift_ms is {frame_shift_ms!r}; it must be above 0")
        self.policy = policy
        self.frame_shift_ms = frame_shift_ms
        self.frames = 0
        self._gate = Gate.of(policy, frame_shift_ms)
        self._history = np.zeros(policy.smoothing_frames - 1, dtype=np.int64)
        # Frames below are relative to the start of the chunk that comes next.
        self._trace = Trace([], [], 0, 0, np.zeros(0, dtype=np.int64))

    def process(self, scores: np.ndarray) -> list[Event]:
        """Take the next scores, `(n,)` for any n, and return the events that fire within them, in order.

        Raises:
            ValueError: `scores` is not one-dimensional.
        """
        steps = _to_steps(scores)
        if not steps.size:
            return []
        smoothed, self._history = _smooth_steps(steps, self._history)
        trace = scan(smoothed, self._gate, self._trace)
        events = [
            Event(self.frames + e, (self.frames + e + 1) * self.frame_shift_ms / 1000.0, float(smoothed[e]))
            for e in trace.events
        ]
        self._trace = trace.advanced(len(smoothed), self._gate)
        self.frames += len(smoothed)
        return events


def detect(scores: np.ndarray, policy: Policy, frame_shift_ms: float) -> list[Event]:
    """Return the events of a whole stream of scores, `(n,)`."""
    return PolicyState(policy, frame_shift_ms).process(scores)


def smooth(scores: np.ndarray, smoothing_frames: int) -> np.ndarray:
    """Return the smoothed scores, `(n,)` float64, that a policy compares with its threshold.

    Args:
        scores: `(n,)`; clipped to 0..1, non-finite ones count as 0.
        smoothing_frames: length of the moving average, whose missing past is 0.
    """
    return _smooth_steps(_to_steps(scores), np.zeros(smoothing_frames - 1, dtype=np.int64))[0]


def to_grid(value: float) -> float:
    """Return the whole multiple of `GRID` that is nearest: what a policy compares in place of a threshold."""
    return round(value / GRID) * GRID


class Gate(NamedTuple):
    """What a policy does after smoothing, in frames and on the grid."""

    threshold: float
    release: float
    votes: int
    window: int
    refractory: int

    @classmethod
    def of(cls, policy: Policy, frame_shift_ms: float) -> "Gate":
        refractory = math.ceil(policy.refractory_ms / frame_shift_ms - 1e-9)
        return cls(to_grid(policy.threshold), to_grid(policy.release), policy.votes, policy.votes_window, refractory)


class Trace(NamedTuple):
    """What happened in a stretch of stream, and all that the next stretch must know of it.

    Attributes:
        events: frames at which an event fired.
        rearms: frames at which the detector was armed again.
        armed_from: the frame from which on votes count; None where the detector is not armed at the end.
        earliest: the first frame at which the refractory time allows an event.
        votes: frames that still count as votes, ascending, int64.
    """

    events: list[int]
    rearms: list[int]
    armed_from: int | None
    earliest: int
    votes: np.ndarray

    def advanced(self, frames: int, gate: Gate) -> "Trace":
        """Return what to start the stretch with that follows this one of `frames` frames."""
        if self.armed_from is None:
            return Trace([], [], None, max(self.earliest - frames, 0), self.votes[:0])
        oldest = max(self.armed_from, frames - gate.window + 1)
        votes = self.votes
        if len(votes):
            votes = votes[votes.searchsorted(oldest) :] - frames
        return Trace([], [], oldest - frames, max(self.earliest - frames, 0), votes)


FRESH = Trace([], [], 0, 0, np.zeros(0, dtype=np.int64))


def scan(smoothed: np.ndarray, gate: Gate, before: Trace = FRESH) -> Trace:
    """Run a policy, less its smoothing, over a stretch of stream.

    Time is linear in the frames that reach the threshold plus logarithmic for each event, but for two comparisons.

    Args:
        smoothed: `(n,)` smoothed scores.
        gate: the rest of the policy.
        before: how the stretch before ended, with frames counted from the start of this one.
    """
    total = len(smoothed)
    votes = (smoothed >= gate.threshold).nonzero()[0]
    if len(before.votes):
        votes = np.concatenate([before.votes, votes])
    if before.armed_from is not None and len(votes) < gate.votes:
        return Trace([], [], before.armed_from, before.earliest, votes)
    # Enough votes lie close enough together from the frame first[j] to the frame last[j].
    first, last = votes, votes
    if gate.votes > 1:
        first, last = votes[: max(len(votes) - gate.votes + 1, 0)], votes[gate.votes - 1 :]
        close = last - first < gate.window
        first, last = first[close], last[close]
    below: np.ndarray | None = None
    events: list[int] = []
    rearms: list[int] = []
    armed_from, earliest, position = before.armed_from, before.earliest, 0
    while True:
        if armed_from is None:
            if below is None:
                below = (smoothed < gate.release).nonzero()[0]
            index = int(below.searchsorted(position))
            if index == len(below):
                break
            armed_from = int(below[index])
            rearms.append(armed_from)
        allowed = max(armed_from, earliest)
        index = int(first.searchsorted(max(armed_from, allowed - gate.window + 1)))
        if index == len(first):
            break
        event = max(allowed, int(last[index]))
        if event >= total:
            break
        events.append(event)
        armed_from, earliest, position = None, event + gate.refractory, event + 1
    return Trace(events, rearms, armed_from, earliest, votes)


def _to_steps(scores: np.ndarray) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"scores have the shape {values.shape}; they must be one-dimensional, one phrase at a time")
    values = np.where(np.isfinite(values), values, 0.0)
    np.maximum(values, 0.0, out=values)
    np.minimum(values, 1.0, out=values)
    values *= 1.0 / GRID
    np.rint(values, out=values)
    return values.astype(np.int64)


def _smooth_steps(steps: np.ndarray, history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the moving averages of the last `len(history) + 1` steps as scores, and the history for next time."""
    length = len(history) + 1
    if length == 1:
        return steps * GRID, history
    joined = np.concatenate([history, steps])
    # 64-bit sums may wrap around in a chunk of days; their differences are right all the same.
    sums = joined.cumsum()
    window = sums[length - 1 :].copy()
    window[1:] -= sums[:-length]
    return (window // length) * GRID, joined[len(steps) :].copy()
