"""What became of each keyword, and each false alarm with what set it off: made from detection events, whoever fired.

The same as a file, `outcomes.csv`, is what `wakeword.evaluation.compare` compares two runs by.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wakeword.base.errors import UserError
from wakeword.base.files import write_bytes
from wakeword.detection.policy import Gate, Policy, detect, scan, smooth, to_grid
from wakeword.evaluation.judging import heard_at
from wakeword.evaluation.metrics import Keyword, hours_outside, match
from wakeword.features.store import Segment, Stream, StreamSet

BETWEEN = "between clips"
_HEAD = ("what", "phrase", "stream", "time_s", "group", "clip", "hours", "score", "fires")
_MOST_THRESHOLDS = 300
_BLOCK = 1 << 22
_SAME_S = 1.0  # events this close, at two thresholds, are the same false alarm


@dataclass(frozen=True, slots=True)
class KeywordOutcome:
    """A keyword in a stream, and when it was detected: None where it was missed."""

    stream: Stream
    segment: Segment
    event_s: float | None


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """An event that hit no keyword, and the clip that it is put down to: None between clips."""

    stream: Stream
    time_s: float
    segment: Segment | None

    @property
    def kind(self) -> str:
        return self.segment.kind if self.segment else "background"

    @property
    def group(self) -> str:
        return self.segment.group if self.segment else between(self.stream)


def between(stream: Stream) -> str:
    """Return the group that the time between a stream's clips counts as."""
    return f"{BETWEEN} of {stream.name}"


def event_times(scores: Sequence[np.ndarray], phrase: int, policy: Policy, frame_shift_ms: float) -> list[list[float]]:
    """Return when a policy fires on each stream, in seconds; `scores` are `(frames, phrases)` each."""
    return [[event.time_s for event in detect(each[:, phrase], policy, frame_shift_ms)] for each in scores]


def judge_events(
    streams: Sequence[Stream], events: Sequence[Sequence[float]], phrase: int, tolerance_ms: float
) -> tuple[list[KeywordOutcome], list[FalseAlarm]]:
    """Return what became of each keyword, in the order of the streams, and the false alarms.

    Args:
        streams: `n` streams.
        events: for each the seconds at which a detector fired, ascending: ours, or any other engine's.
        phrase: index of the phrase.
    """
    keywords: list[KeywordOutcome] = []
    alarms: list[FalseAlarm] = []
    for stream, times in zip(streams, events, strict=True):
        spoken = stream.keywords(phrase)
        found = match(times, [Keyword(segment.start_s, segment.end_s) for segment in spoken], tolerance_ms)
        hit_at = {keyword: times[event] for event, keyword in found.hits}
        keywords += [KeywordOutcome(stream, segment, hit_at.get(index)) for index, segment in enumerate(spoken)]
        alarms += [
            FalseAlarm(stream, times[event], heard_at(stream.segments, times[event])) for event in found.false_alarms
        ]
    return keywords, alarms


def exposure_hours(streams: Sequence[Stream], phrase: int) -> dict[str, float]:
    """Return the hours outside keywords that each group is heard for; they add up to the hours that FAH divides by."""
    hours: dict[str, float] = {}
    for stream in streams:
        keywords = [Keyword(segment.start_s, segment.end_s) for segment in stream.keywords(phrase)]
        left = hours_outside(keywords, stream.seconds)
        for segment in stream.segments:
            if segment.phrase != phrase:
                heard = min((segment.end_s - segment.start_s) / 3600, left)
                hours[segment.group] = hours.get(segment.group, 0.0) + heard
                left -= heard
        hours[between(stream)] = left
    return hours


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One phrase's outcomes on a test set, with the threshold at which each comes about.

    Attributes:
        keys: what identifies each keyword: its stream, start and clip.
        groups: each keyword's group.
        scores: the highest threshold at which each is hit, `(keywords,)`; 0 where that is below what was looked at.
        hit: which are hit at the operating point, `(keywords,)` bool.
        alarm_groups, alarm_scores: false alarms at any threshold looked at, and the highest at which each appears.
        point_groups: the groups of the false alarms at the operating point.
        hours: hours outside keywords by group.
        sound: as `write_outcomes` was given it; "" where it is not known.
    """

    keys: list[tuple[str, str, str]]
    groups: list[str]
    scores: np.ndarray
    hit: np.ndarray
    alarm_groups: list[str]
    alarm_scores: np.ndarray
    point_groups: list[str]
    hours: Mapping[str, float]
    sound: str = ""


def sound_fingerprint(streams: StreamSet) -> str:
    """Return what identifies the sound of streams: levels and noise too, which no annotation tells of."""
    digest = hashlib.sha256()
    for first in range(0, len(streams.all_audio), _BLOCK):
        digest.update(np.ascontiguousarray(streams.all_audio[first : first + _BLOCK]).data)
    return digest.hexdigest()[:16]


def appearing(
    streams: Sequence[Stream],
    scores: Sequence[np.ndarray],
    phrase: int,
    template: Policy,
    frame_shift_ms: float,
    tolerance_ms: float,
    thresholds: np.ndarray,
) -> tuple[np.ndarray, list[tuple[FalseAlarm, float]]]:
    """Return the highest threshold at which each keyword is hit, and each false alarm with the highest at which it is.

    Args:
        streams, scores, phrase: as elsewhere.
        template: the policy whose threshold is swept; `release / threshold` stays.
        thresholds: those to try, any number; at most 300 of them are, evenly chosen, so that the cost is bounded.
    """
    smoothed = [smooth(each[:, phrase], template.smoothing_frames) for each in scores]
    gate, ratio = Gate.of(template, frame_shift_ms), template.release / template.threshold
    reached: np.ndarray | None = None
    alarms: list[tuple[FalseAlarm, float]] = []
    known: dict[str, list[float]] = {}
    for threshold in _thinned(thresholds):
        moved = gate._replace(threshold=threshold, release=to_grid(threshold * ratio))
        events = [[(event + 1) * frame_shift_ms / 1000.0 for event in scan(each, moved).events] for each in smoothed]
        keywords, wrong = judge_events(streams, events, phrase, tolerance_ms)
        hit = np.array([keyword.event_s is not None for keyword in keywords], dtype=bool)
        reached = np.zeros(len(hit)) if reached is None else reached
        reached[hit & (reached == 0)] = threshold
        for alarm in wrong:
            seen = known.setdefault(alarm.stream.name, [])
            if all(abs(alarm.time_s - time) > _SAME_S for time in seen):
                alarms.append((alarm, threshold))
            seen.append(alarm.time_s)
    if reached is None:
        reached = np.zeros(sum(len(stream.keywords(phrase)) for stream in streams))
    return reached, alarms


def _thinned(thresholds: np.ndarray) -> list[float]:
    """Return at most `_MOST_THRESHOLDS` of the thresholds, from the highest, the two ends among them."""
    ordered = np.unique(thresholds)[::-1]
    if len(ordered) > _MOST_THRESHOLDS:
        ordered = ordered[np.unique(np.linspace(0, len(ordered) - 1, _MOST_THRESHOLDS).round().astype(int))]
    return [float(value) for value in ordered]


def collect(
    streams: Sequence[Stream],
    phrase: int,
    at_point: tuple[Sequence[KeywordOutcome], Sequence[FalseAlarm]],
    swept: tuple[np.ndarray, Sequence[tuple[FalseAlarm, float]]],
) -> Outcomes:
    """Put together what `judge_events` says of the operating point and `appearing` of the thresholds."""
    keywords, point_alarms = at_point
    scores, alarms = swept
    return Outcomes(
        keys=[(k.stream.name, f"{k.segment.start_s:.3f}", k.segment.clip[:12]) for k in keywords],
        groups=[keyword.segment.group for keyword in keywords],
        scores=scores,
        hit=np.array([keyword.event_s is not None for keyword in keywords], dtype=bool),
        alarm_groups=[alarm.group for alarm, _ in alarms],
        alarm_scores=np.array([score for _, score in alarms], dtype=np.float64),
        point_groups=[alarm.group for alarm in point_alarms],
        hours=exposure_hours(streams, phrase),
    )


def write_outcomes(path: Path, outcomes: Mapping[str, Outcomes], sound: str) -> None:
    """Write the outcomes of each phrase: one line for each keyword, false alarm and group.

    Args:
        path: the file.
        outcomes: by phrase.
        sound: what identifies the sound of the streams, see `sound_fingerprint`.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_HEAD)
    for phrase, each in outcomes.items():
        rows.writerow(["sound", phrase, sound, *[""] * (len(_HEAD) - 3)])
        for (stream, start, clip), group, score, hit in zip(each.keys, each.groups, each.scores, each.hit, strict=True):
            rows.writerow(["keyword", phrase, stream, start, group, clip, "", f"{score:.6g}", int(hit)])
        for group, score in zip(each.alarm_groups, each.alarm_scores, strict=True):
            rows.writerow(["false alarm", phrase, "", "", group, "", "", f"{score:.6g}", ""])
        for group in each.point_groups:
            rows.writerow(["false alarm", phrase, "", "", group, "", "", "", 1])
        for group, hours in sorted(each.hours.items()):
            rows.writerow(["heard", phrase, "", "", group, "", f"{hours:.6g}", "", ""])
    write_bytes(path, text.getvalue().encode())


def read_outcomes(text: str, name: str) -> dict[str, Outcomes]:
    """Read what `write_outcomes` wrote.

    Args:
        text: the file's content.
        name: for messages.

    Raises:
        UserError: it is something else.
    """
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != _HEAD or any(len(row) != len(_HEAD) for row in rows):
        raise UserError(f"{name} holds no outcomes; name what `dvc repro evaluate report` wrote")
    phrases: dict[str, list[dict[str, str]]] = {}
    for row in rows[1:]:
        phrases.setdefault(row[1], []).append(dict(zip(_HEAD, row, strict=True)))
    try:
        return {phrase: _parsed(lines) for phrase, lines in phrases.items()}
    except ValueError as failure:
        raise UserError(f"{name} is damaged: {failure}; run `dvc repro evaluate report`") from failure


def _parsed(lines: Sequence[Mapping[str, str]]) -> Outcomes:
    keywords = [line for line in lines if line["what"] == "keyword"]
    alarms = [line for line in lines if line["what"] == "false alarm"]
    swept = [line for line in alarms if line["score"]]
    return Outcomes(
        keys=[(line["stream"], line["time_s"], line["clip"]) for line in keywords],
        groups=[line["group"] for line in keywords],
        scores=np.array([float(line["score"]) for line in keywords], dtype=np.float64),
        hit=np.array([line["fires"] == "1" for line in keywords], dtype=bool),
        alarm_groups=[line["group"] for line in swept],
        alarm_scores=np.array([float(line["score"]) for line in swept], dtype=np.float64),
        point_groups=[line["group"] for line in alarms if line["fires"]],
        hours={line["group"]: float(line["hours"]) for line in lines if line["what"] == "heard"},
        sound=next((line["stream"] for line in lines if line["what"] == "sound"), ""),
    )
