"""The worst mistakes on the test streams, cut out as audio with what is known of them: `data/errors/` to listen to."""

import html
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from wakeword.corpus.manifest import SAMPLE_RATE, Clip
from wakeword.detection.policy import Policy, smooth
from wakeword.evaluation.outcomes import FalseAlarm, KeywordOutcome
from wakeword.evaluation.plots import Moment
from wakeword.evaluation.sound import span_of
from wakeword.features.store import Stream, StreamSet

SHEET = "index.html"
_BEFORE_S, _AFTER_S = 3.5, 1.5
_PEAK_S = 1.0  # the score that a false alarm is ranked by may come this long after the event
_TITLE = 84  # characters of a title that fit
_LATE_S = 1.5  # a score that comes up this long after a keyword's end is called late


@dataclass(frozen=True, slots=True)
class Mistake:
    """A false alarm or a miss, and where to cut it out.

    Attributes:
        what: "false alarm" or "miss".
        stream: where it happened.
        at_s: of a false alarm when it fired, of a miss when the keyword ended.
        score: the highest smoothed score near it.
        group, clip: of the clip that is to blame or was missed; an empty clip for the time between clips.
        reasons: what is known, in a few words each.
    """

    what: str
    stream: Stream
    at_s: float
    score: float
    group: str
    clip: str
    reasons: list[str]


def worst_false_alarms(
    alarms: Sequence[FalseAlarm],
    smoothed: Mapping[str, np.ndarray],
    frame_shift_ms: float,
    clips: Mapping[str, Clip],
    most: int,
) -> list[Mistake]:
    """Return the false alarms of the highest scores.

    Args:
        alarms: all of them.
        smoothed: by the name of a stream, its smoothed scores `(frames,)`.
        clips: by id, for what is said in them.
        most: how many at most.
    """
    found = []
    for alarm in alarms:
        score = _highest(smoothed[alarm.stream.name], alarm.time_s, alarm.time_s + _PEAK_S, frame_shift_ms)
        clip = alarm.segment.clip if alarm.segment else ""
        reasons = [f"score {score:.3f}", *_described(alarm.stream, alarm.kind, alarm.group, clips.get(clip))]
        if alarm.segment and alarm.segment.phrase is not None:
            reasons.append(
                f"{1000 * (alarm.time_s - alarm.segment.end_s):.0f} ms after a phrase, or a second event on it"
            )
        found.append(Mistake("false alarm", alarm.stream, alarm.time_s, score, alarm.group, clip, reasons))
    return sorted(found, key=lambda each: (-each.score, each.stream.name, each.at_s))[:most]


def worst_misses(
    keywords: Sequence[KeywordOutcome],
    levels: Sequence[float],
    smoothed: Mapping[str, np.ndarray],
    frame_shift_ms: float,
    policy: Policy,
    tolerance_ms: float,
    clips: Mapping[str, Clip],
    most: int,
) -> list[Mistake]:
    """Return the missed keywords of the lowest scores; `levels` are those of `slices.keyword_levels`."""
    found = []
    for keyword, level in zip(keywords, levels, strict=True):
        if keyword.event_s is not None:
            continue
        segment, scores = keyword.segment, smoothed[keyword.stream.name]
        latest = segment.end_s + tolerance_ms / 1000
        score = _highest(scores, segment.start_s, latest, frame_shift_ms)
        later = _highest(scores, latest, segment.end_s + _LATE_S, frame_shift_ms)
        why = f"score {score:.3f} stays below the threshold, {policy.threshold:.3f}"
        if score >= policy.threshold:
            why = f"score {score:.3f} reaches the threshold, but too briefly or too soon after another event"
        elif later >= policy.threshold:
            why = f"score {score:.3f}; the threshold is reached only more than {tolerance_ms:g} ms after the end"
        reasons = [
            why,
            *_described(keyword.stream, segment.kind, segment.group, clips.get(segment.clip)),
            f"{level:.0f} dBFS",
            f"{segment.end_s - segment.start_s:.2f} s long",
        ]
        found.append(Mistake("miss", keyword.stream, segment.end_s, score, segment.group, segment.clip, reasons))
    return sorted(found, key=lambda each: (each.score, each.stream.name, each.at_s))[:most]


def _described(stream: Stream, kind: str, group: str, clip: Clip | None) -> list[str]:
    said = [f"“{clip.origin.text}”"] if clip and clip.origin.text else []
    by = [f"by {group}"] if clip else []
    return [kind, *said, *by, f"condition {stream.condition}"]


def _highest(smoothed: np.ndarray, start_s: float, end_s: float, frame_shift_ms: float) -> float:
    """Return the highest score from one time to another; score i is at `(i + 1) * frame_shift_ms`."""
    first, last = (round(at * 1000 / frame_shift_ms) for at in (start_s, end_s))
    return float(smoothed[max(first - 1, 0) : last].max(initial=0.0))


def bounds(mistake: Mistake) -> tuple[float, float]:
    """Return from when to when, in seconds, a mistake is cut out: whole seconds of the stream around it."""
    start = max(0.0, min(mistake.at_s - _BEFORE_S, mistake.stream.seconds - _BEFORE_S - _AFTER_S))
    return start, min(start + _BEFORE_S + _AFTER_S, mistake.stream.seconds)


def moment(
    mistake: Mistake,
    streams: StreamSet,
    smoothed: Mapping[str, np.ndarray],
    frame_shift_ms: float,
    keywords: Sequence[KeywordOutcome],
    alarms: Sequence[FalseAlarm],
) -> Moment:
    """Return what to draw of a mistake."""
    start, end = bounds(mistake)
    first, last = (round(at * 1000 / frame_shift_ms) for at in (start, end))
    per_score = round(SAMPLE_RATE * frame_shift_ms / 1000)
    here = [keyword for keyword in keywords if keyword.stream.name == mistake.stream.name]
    told = ", ".join(mistake.reasons)
    told = told if len(told) <= _TITLE else f"{told[: _TITLE - 1]}…"
    title = f"{mistake.what} in {mistake.stream.name} at {mistake.at_s:.1f} s\n{told}"
    return Moment(
        title,
        span_of(streams, mistake.stream).read(first * per_score, last * per_score),
        smoothed[mistake.stream.name][first:last],
        [keyword.event_s for keyword in here if keyword.event_s is not None],
        [alarm.time_s for alarm in alarms if alarm.stream.name == mistake.stream.name],
        [(keyword.segment.start_s, keyword.segment.end_s) for keyword in here],
        first * frame_shift_ms / 1000,
    )


def smoothed_scores(
    streams: Sequence[Stream], scores: Sequence[np.ndarray], phrase: int, policy: Policy
) -> dict[str, np.ndarray]:
    """Return, by the name of a stream, what a policy compares with its threshold, `(frames,)`."""
    pairs = zip(streams, scores, strict=True)
    return {stream.name: smooth(each[:, phrase], policy.smoothing_frames) for stream, each in pairs}


def write_sheet(
    folder: Path, sections: Sequence[tuple[str, Path | None, Sequence[Mistake]]], streams: StreamSet
) -> None:
    """Fill an empty folder with a page, the pictures on it, and the sound of each mistake.

    Args:
        folder: it.
        sections: title, picture and mistakes of each phrase.
        streams: where their sound is.
    """
    rows: list[str] = []
    number = 0
    for index, (title, picture, mistakes) in enumerate(sections):
        rows.append(f"<h2>{html.escape(title)}</h2>")
        if picture is not None:
            shutil.copyfile(picture, folder / f"{index}.png")
            rows.append(f'<p><img src="{index}.png" alt="Scores around the worst mistakes"></p>')
        rows.append("<table>" if mistakes else "<p>No mistake was made.</p>")
        for mistake in mistakes:
            name = f"{number:02d}.wav"
            number += 1
            (folder / name).write_bytes(_wav(streams, mistake))
            start, _ = bounds(mistake)
            cells = [
                mistake.what,
                f"{mistake.stream.name}, {mistake.at_s:.2f} s ({mistake.at_s - start:.1f} s into the cut)",
                "; ".join(mistake.reasons),
                mistake.clip[:12] or "–",
            ]
            told = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            label = html.escape(f"{mistake.what} {number}")
            rows.append(
                f'<tr><td><audio controls preload="none" src="{name}" aria-label="{label}"></audio></td>{told}</tr>'
            )
        if mistakes:
            rows.append("</table>")
    (folder / SHEET).write_text(_PAGE.format(page="\n".join(rows)), encoding="utf-8")


def _wav(streams: StreamSet, mistake: Mistake) -> bytes:
    start, end = (round(at * SAMPLE_RATE) for at in bounds(mistake))
    sound = io.BytesIO()
    pcm = span_of(streams, mistake.stream).read(start, end)
    soundfile.write(sound, pcm, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return sound.getvalue()


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>The worst mistakes on the test streams</title>
<style>
body {{ font-family: sans-serif; margin: 2em }} td {{ padding: 0.2em 1em 0.2em 0 }} img {{ max-width: 100% }}
</style>
<h1>The worst mistakes on the test streams</h1>
<p>At the operating point: false alarms by falling score, then misses by rising score. Clips are named as in the corpus'
manifest.</p>
{page}
</html>
"""
