"""All that is said of one phrase on a test set, from the scores of its streams and clips: a report and its grounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wakeword.corpus.manifest import Clip
from wakeword.detection.policy import Policy, detect
from wakeword.evaluation.calibration import (
    Reliability,
    at_temperature,
    fit_temperature,
    reliability,
    report_calibration,
)
from wakeword.evaluation.clips import report_clips
from wakeword.evaluation.config import EvaluateConfig
from wakeword.evaluation.intervals import proportion
from wakeword.evaluation.judging import report_curve, report_policy, scored_streams
from wakeword.evaluation.metrics import DetCurve, det_curve
from wakeword.evaluation.outcomes import (
    FalseAlarm,
    KeywordOutcome,
    Outcomes,
    appearing,
    collect,
    event_times,
    judge_events,
)
from wakeword.evaluation.slices import Surroundings, alarm_slices, keyword_levels, keyword_slices
from wakeword.features.store import StreamSet

_DEEPEST_FAH = 10.0  # of what outcomes hold: far beyond any rate that runs are compared at


@dataclass(frozen=True)
class Material:
    """A split and what was scored on it: for each stream and each clip `(frames, phrases)`."""

    streams: StreamSet
    scores: Sequence[np.ndarray]
    clips: Sequence[Clip]
    clip_scores: Sequence[np.ndarray]


@dataclass(frozen=True)
class Setting:
    """What is the same for every phrase.

    Attributes:
        config: how detections are judged.
        frame_shift_ms: time from one score to the next.
        corpus: every clip that may be heard in the streams, by id.
        surroundings: how the streams of each condition were made.
    """

    config: EvaluateConfig
    frame_shift_ms: float
    corpus: Mapping[str, Clip]
    surroundings: Mapping[str, Surroundings]


@dataclass(frozen=True)
class HeardAlone:
    """Clips scored alone, for one phrase: highest scores, what is said, and what fired; each `(n,)`."""

    scores: np.ndarray
    is_phrase: np.ndarray
    fired: np.ndarray
    groups: list[str]


@dataclass(frozen=True)
class Examined:
    """One phrase's report, ready for JSON, and what pictures are drawn from.

    Attributes:
        phrase, index: its text and its column in the scores.
        policy: the operating point.
        report: figures with intervals and counts.
        at_point: the part of it that is the operating point's on the streams.
        curve: FRR against FAH.
        keywords, alarms: what the operating point made of the streams.
        levels: of each keyword's stretch of stream, in dBFS.
        clips: the clips heard alone.
        reliability: before and after the temperature; empty where none could be fitted.
        outcomes: what a comparison with another run needs.
    """

    phrase: str
    index: int
    policy: Policy
    report: dict[str, Any]
    at_point: dict[str, Any]
    curve: DetCurve
    keywords: list[KeywordOutcome]
    alarms: list[FalseAlarm]
    levels: list[float]
    clips: HeardAlone
    reliability: dict[str, Reliability]
    outcomes: Outcomes


def template_of(policy: Policy, config: EvaluateConfig) -> Policy:
    """Return a policy of the same shape at a threshold of 1, to sweep."""
    shape = (policy.smoothing_frames, policy.votes, policy.votes_window, policy.refractory_ms)
    return Policy(1.0, config.release_ratio, *shape)


def curve_of(material: Material, index: int, policy: Policy, setting: Setting) -> DetCurve:
    """Return the DET curve of a policy's shape; `index` is that of the phrase."""
    config = setting.config
    pairs = scored_streams(material.streams.streams, material.scores, index)
    return det_curve(pairs, template_of(policy, config), setting.frame_shift_ms, config.tolerance_ms, config.max_fah)


def examine(phrase: str, index: int, policy: Policy, test: Material, dev: Material, setting: Setting) -> Examined:
    """Examine one phrase on test; dev gives nothing but the temperature of its calibration.

    Args:
        phrase, index: its text and its column in the scores.
        policy: the operating point.
    """
    config, shift, streams = setting.config, setting.frame_shift_ms, test.streams.streams
    template, curve = template_of(policy, config), curve_of(test, index, policy, setting)
    at_point = report_policy(streams, test.scores, index, policy, shift, config.tolerance_ms)
    events = event_times(test.scores, index, policy, shift)
    keywords, alarms = judge_events(streams, events, index, config.tolerance_ms)
    levels = keyword_levels(test.streams, keywords)
    known, around = setting.corpus, setting.surroundings
    heard = heard_alone(phrase, index, policy, test, shift)
    calibration, curves = _calibration(heard, heard_alone(phrase, index, policy, dev, shift))
    swept = appearing(
        streams, test.scores, index, template, shift, config.tolerance_ms, curve.threshold[curve.fah <= _DEEPEST_FAH]
    )
    report = {
        "frr_at_fah": report_curve(curve, template, streams, test.scores, index, shift, config),
        "clips": report_clips(heard.scores, heard.is_phrase, heard.fired, heard.groups),
        "clips_fired": fired_by_kind(phrase, test.clips, heard.fired),
        "calibration": calibration,
        "slices": {
            "misses": keyword_slices(keywords, levels, known, around),
            "false_alarms": alarm_slices(streams, index, alarms, known, around),
        },
    }
    outcomes = collect(streams, index, (keywords, alarms), swept)
    return Examined(phrase, index, policy, report, at_point, curve, keywords, alarms, levels, heard, curves, outcomes)


def heard_alone(phrase: str, index: int, policy: Policy, material: Material, frame_shift_ms: float) -> HeardAlone:
    """Return what a phrase's detector makes of clips, each heard alone."""
    columns = [scores[:, index] for scores in material.clip_scores]
    return HeardAlone(
        np.array([column.max() for column in columns], dtype=np.float64),
        np.array([clip.origin.phrase == phrase for clip in material.clips], dtype=bool),
        np.array([bool(detect(column, policy, frame_shift_ms)) for column in columns], dtype=bool),
        [clip.origin.group for clip in material.clips],
    )


def _calibration(test: HeardAlone, dev: HeardAlone) -> tuple[dict[str, Any] | None, dict[str, Reliability]]:
    """Return the report, None where dev has not both kinds of clip, and the two curves."""
    try:
        temperature = fit_temperature(dev.scores, dev.is_phrase)
    except ValueError:
        return None, {}
    report = report_calibration(temperature, len(dev.scores), test.scores, test.is_phrase, test.groups)
    cooled = at_temperature(test.scores, temperature)
    return report, {
        f"as scored, ECE {report['ece_before']:.3f}": reliability(test.scores, test.is_phrase),
        f"at temperature {temperature:.2f}, ECE {report['ece_after']:.3f}": reliability(cooled, test.is_phrase),
    }


def fired_by_kind(phrase: str, clips: Sequence[Clip], fired: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return, for each kind of clip, how many set the detector off when heard alone.

    Streams hold no clips made up to sound like the phrase, or few; here each counts once. "phrase" are its own clips;
    those of the others are "another phrase".
    """
    by_kind: dict[str, list[bool]] = {}
    for clip, one in zip(clips, fired.tolist(), strict=True):
        other = clip.origin.phrase not in (None, phrase)
        by_kind.setdefault("another phrase" if other else clip.origin.kind, []).append(one)
    return {
        kind: {
            "clips": len(each),
            "fired": sum(each),
            "share": sum(each) / len(each),
            "share_interval": list(proportion(sum(each), len(each))),
        }
        for kind, each in sorted(by_kind.items())
    }
