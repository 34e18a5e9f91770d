"""Hard-negative mining: what the present detector falls for in the training streams, so that training dwells on it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from wakeword.base.files import write_json
from wakeword.detection.policy import Policy, detect, smooth
from wakeword.features.store import Segment, Stream

_PEAK_S = 0.5  # from the firing on, how long the score may still rise
_AFTERMATH_S = 1.0  # a false alarm this soon after a clip is put down to it


@dataclass(frozen=True, slots=True)
class Mined:
    """A false alarm on a training stream.

    Attributes:
        stream: its name.
        time_s: when the smoothed score was highest.
        score: how high it was.
        phrase: index of the phrase that was not there.
        clip, kind: of what was heard; None between clips.
    """

    stream: str
    time_s: float
    score: float
    phrase: int
    clip: str | None
    kind: str | None


def mine(
    streams: Iterable[Stream],
    score: Callable[[Stream], np.ndarray],
    policy: Policy,
    frame_shift_ms: float,
    tolerance_ms: int,
    most: int,
) -> list[Mined]:
    """Return the false alarms of a detector on streams, those of the highest scores first.

    Args:
        streams: of the training split.
        score: gives the scores `(scores, phrases)` of a stream.
        policy: of the detector.
        frame_shift_ms: time from one score to the next.
        tolerance_ms: how long after a keyword its detection may come.
        most: how many are kept.
    """
    found = [
        alarm
        for stream in streams
        for phrase, scores in enumerate(score(stream).T)
        for alarm in _false_alarms(stream, phrase, scores, policy, frame_shift_ms, tolerance_ms)
    ]
    # A sort keeps the order of equals, so that the list is the same every time.
    return sorted(found, key=lambda alarm: -alarm.score)[:most]


def moments(found: Iterable[Mined]) -> list[tuple[str, float]]:
    """Return where false alarms were: the stream's name and the time in it."""
    return [(alarm.stream, alarm.time_s) for alarm in found]


def write_mined(path: Path, rounds: dict[int, list[Mined]]) -> None:
    """Write what was found after which epoch."""
    write_json(
        path, {"rounds": [{"epoch": epoch, "found": list(map(asdict, found))} for epoch, found in rounds.items()]}
    )


def _false_alarms(
    stream: Stream, phrase: int, scores: np.ndarray, policy: Policy, frame_shift_ms: float, tolerance_ms: int
) -> Iterator[Mined]:
    smoothed = smooth(scores, policy.smoothing_frames)
    for event in detect(scores, policy, frame_shift_ms):
        if any(said.start_s <= event.time_s <= said.end_s + tolerance_ms / 1000 for said in stream.keywords(phrase)):
            continue
        rising = smoothed[event.frame : event.frame + 1 + round(_PEAK_S * 1000 / frame_shift_ms)]
        peak = event.frame + int(rising.argmax())
        heard = _heard(stream.segments, event.time_s)
        clip, kind = (heard.clip, heard.kind) if heard else (None, None)
        yield Mined(stream.name, (peak + 1) * frame_shift_ms / 1000, float(smoothed[peak]), phrase, clip, kind)


def _heard(segments: Sequence[Segment], time_s: float) -> Segment | None:
    """Return what was heard last of what is heard at that time or was a moment ago."""
    return next((s for s in reversed(segments) if s.start_s <= time_s <= s.end_s + _AFTERMATH_S), None)
