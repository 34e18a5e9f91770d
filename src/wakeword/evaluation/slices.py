"""Figures at the operating point by what was heard and how: which voices, rooms, noises and levels cost misses."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from wakeword.corpus.manifest import SAMPLE_RATE, Clip
from wakeword.evaluation.intervals import poisson_rate
from wakeword.evaluation.judging import pooled_interval
from wakeword.evaluation.metrics import Keyword, hours_outside
from wakeword.evaluation.outcomes import FalseAlarm, KeywordOutcome
from wakeword.evaluation.sound import span_of
from wakeword.features.store import Segment, Stream, StreamSet

MOST_VALUES = 12  # of one slice; the rest are pooled
OTHERS = "others"
_DURATION_EDGES_S = (0.6, 0.9, 1.2, 1.5)
_LEVEL_EDGES_DBFS = (-42.0, -36.0, -30.0, -24.0, -18.0)


class Surroundings(NamedTuple):
    """How the streams of a condition were made: its SNR in dB, None without noise, and whether in a room."""

    snr_db: float | None
    reverb: bool


def keyword_levels(streams: StreamSet, keywords: Sequence[KeywordOutcome]) -> list[float]:
    """Return the level of each keyword's stretch of stream, in dB of full scale, whatever else is heard there."""
    levels = []
    for keyword in keywords:
        start, end = (round(at * SAMPLE_RATE) for at in (keyword.segment.start_s, keyword.segment.end_s))
        pcm = span_of(streams, keyword.stream).read(start, max(end, start + 1))
        power = float(np.mean(np.square(pcm.astype(np.float64) / 32768.0))) if len(pcm) else 0.0
        levels.append(10.0 * np.log10(power + 1e-10))
    return levels


def keyword_slices(
    keywords: Sequence[KeywordOutcome],
    levels: Sequence[float],
    clips: Mapping[str, Clip],
    surroundings: Mapping[str, Surroundings],
) -> dict[str, dict[str, Any]]:
    """Return misses by each slice, with counts and intervals.

    A recording occurs under several conditions, so where a slice pools these its interval is that of as many trials as
    there are recordings.

    Args:
        keywords: what became of each.
        levels: of each, as `keyword_levels`.
        clips: by id; what is not among them goes by what the stream knows of it.
        surroundings: by the name of a condition; slices by SNR and room are left out where a condition is not there.
    """
    values: dict[str, list[str]] = {
        "condition": [keyword.stream.condition for keyword in keywords],
        **_surrounded([keyword.stream for keyword in keywords], surroundings),
        "made_by": [_made_by(keyword.segment) for keyword in keywords],
        "source": [_source(keyword.segment, clips) for keyword in keywords],
        "voice": [_voice(keyword.segment, clips) for keyword in keywords],
        "duration_s": [_between(k.segment.end_s - k.segment.start_s, _DURATION_EDGES_S) for k in keywords],
        "level_dbfs": [_between(level, _LEVEL_EDGES_DBFS) for level in levels],
    }
    slices = {}
    for name, column in values.items():
        members: dict[str, list[KeywordOutcome]] = {}
        for value, keyword in zip(_folded(column), keywords, strict=True):
            members.setdefault(value, []).append(keyword)
        slices[name] = {value: _misses(those) for value, those in members.items()}
    return slices


def alarm_slices(
    streams: Sequence[Stream],
    phrase: int,
    alarms: Sequence[FalseAlarm],
    clips: Mapping[str, Clip],
    surroundings: Mapping[str, Surroundings],
) -> dict[str, dict[str, Any]]:
    """Return false alarms an hour by each slice, with counts, hours and intervals; arguments as `keyword_slices`.

    Hours are those outside keywords. By `kind`, `made_by` and `source` they are how long such clips are; "background"
    is what lies between clips. False alarms in the second after a keyword, but too late for a hit, have no hours of
    their own there and count as "after the phrase".
    """
    heard = [(stream, segment) for stream in streams for segment in stream.segments if segment.phrase != phrase]
    by_stream: dict[str, Callable[[Stream], str]] = {"condition": lambda stream: stream.condition}
    if all(stream.condition in surroundings for stream in streams):
        by_stream["snr_db"] = lambda stream: _snr(surroundings[stream.condition])
        by_stream["room"] = lambda stream: _room(surroundings[stream.condition])
    by_clip: dict[str, Callable[[Segment], str]] = {
        "kind": lambda segment: segment.kind,
        "made_by": _made_by,
        "source": lambda segment: _source(segment, clips),
    }
    slices = {}
    for name, value_of in by_stream.items():
        spans = [(value_of(stream), _outside(stream, phrase)) for stream in streams]
        slices[name] = _rates(spans, [value_of(alarm.stream) for alarm in alarms])
    gaps = sum(_outside(stream, phrase) for stream in streams) - sum(_hours(segment) for _, segment in heard)
    for name, clip_value in by_clip.items():
        spans = [(clip_value(segment), _hours(segment)) for _, segment in heard]
        spans.append(("background", max(0.0, gaps)))
        slices[name] = _rates(spans, [_blamed(alarm.segment, phrase, clip_value) for alarm in alarms])
    return slices


def _blamed(segment: Segment | None, phrase: int, value_of: Callable[[Segment], str]) -> str:
    if segment is None:
        return "background"
    return "after the phrase" if segment.phrase == phrase else value_of(segment)


def _rates(spans: Iterable[tuple[str, float]], alarms: Sequence[str]) -> dict[str, Any]:
    hours: dict[str, float] = dict.fromkeys(alarms, 0.0)
    for value, length in spans:
        hours[value] = hours.get(value, 0.0) + length
    kept = sorted(hours, key=lambda value: (-hours[value], value))[:MOST_VALUES]
    rows: dict[str, list[float]] = {}
    for value in hours:
        row = rows.setdefault(value if value in kept else OTHERS, [0, 0.0])
        row[0] += alarms.count(value)
        row[1] += hours[value]
    return {
        value: {
            "false_alarms": int(count),
            "hours": length,
            "fah": count / length if length > 0 else None,
            "fah_interval": list(poisson_rate(int(count), length)) if length > 0 else None,
        }
        for value, (count, length) in rows.items()
    }


def _misses(keywords: Sequence[KeywordOutcome]) -> dict[str, Any]:
    misses = sum(keyword.event_s is None for keyword in keywords)
    distinct = len({keyword.segment.clip for keyword in keywords})
    frr = misses / len(keywords)
    return {
        "keywords": len(keywords),
        "distinct_keywords": distinct,
        "misses": misses,
        "frr": frr,
        "frr_interval": pooled_interval(frr, distinct),
    }


def _folded(values: Sequence[str]) -> list[str]:
    """Return the values with all but the most frequent replaced by `OTHERS`."""
    counts = {value: values.count(value) for value in set(values)}
    kept = sorted(counts, key=lambda value: (-counts[value], value))[:MOST_VALUES]
    return [value if value in kept else OTHERS for value in values]


def _surrounded(streams: Sequence[Stream], surroundings: Mapping[str, Surroundings]) -> dict[str, list[str]]:
    if not all(stream.condition in surroundings for stream in streams):
        return {}
    around = [surroundings[stream.condition] for stream in streams]
    return {"snr_db": [_snr(each) for each in around], "room": [_room(each) for each in around]}


def _snr(around: Surroundings) -> str:
    return "no noise" if around.snr_db is None else f"{around.snr_db:g}"


def _room(around: Surroundings) -> str:
    return "room" if around.reverb else "no room"


def _made_by(segment: Segment) -> str:
    return "synthesizer" if segment.synthetic else "recording"


def _source(segment: Segment, clips: Mapping[str, Clip]) -> str:
    clip = clips.get(segment.clip)
    return clip.origin.source if clip else "unknown"


def _voice(segment: Segment, clips: Mapping[str, Clip]) -> str:
    """Return the engine and the family of its voice (espeak-ng's `en-gb` has many variants); or that it is a person."""
    clip = clips.get(segment.clip)
    if clip is None or clip.origin.synthesis is None:
        return "synthesizer" if segment.synthetic else "person"
    return f"{clip.origin.source} {clip.origin.synthesis.get('voice', '')}".strip()


def _between(value: float, edges: Sequence[float]) -> str:
    above = int(np.searchsorted(edges, value, side="right"))
    if above == 0:
        return f"below {edges[0]:g}"
    if above == len(edges):
        return f"from {edges[-1]:g}"
    return f"{edges[above - 1]:g} to {edges[above]:g}"


def _hours(segment: Segment) -> float:
    return (segment.end_s - segment.start_s) / 3600


def _outside(stream: Stream, phrase: int) -> float:
    return hours_outside([Keyword(k.start_s, k.end_s) for k in stream.keywords(phrase)], stream.seconds)
