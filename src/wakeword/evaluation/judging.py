"""From the scores of many streams to figures for each phrase: what training selects by and evaluate reports."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from wakeword.detection.policy import Policy, detect
from wakeword.evaluation.config import EvaluateConfig
from wakeword.evaluation.intervals import proportion
from wakeword.evaluation.metrics import (
    DetCurve,
    Keyword,
    ScoredStream,
    det_curve,
    frr_at_fah,
    match,
    mean_recall,
    measure,
)
from wakeword.features.store import Segment, Stream

SELECTION_FAH = 2.0
TIE_FAH = 0.5
_ONE_SIGMA = 0.6827  # of a normal distribution, within a standard error of its mean
_AFTERMATH_S = 1.0  # a false alarm this soon after a clip is put down to it


def scored_streams(streams: Sequence[Stream], scores: Sequence[np.ndarray], phrase: int) -> list[ScoredStream]:
    """Pair the scores of one phrase with what was said.

    Args:
        streams: `n` streams.
        scores: for each its scores `(frames, phrases)`.
        phrase: index of the phrase.
    """
    return [
        ScoredStream(
            stream_scores[:, phrase],
            [Keyword(segment.start_s, segment.end_s) for segment in stream.keywords(phrase)],
            stream.seconds,
        )
        for stream, stream_scores in zip(streams, scores, strict=True)
    ]


def judge_streams(
    streams: Sequence[Stream], scores: Sequence[np.ndarray], frame_shift_ms: float, config: EvaluateConfig
) -> dict[str, float]:
    """Return what training selects by, as means over the phrases, with the policy of `training_policy`.

    Returns:
        What `selection_figures` gives.
    """
    template = training_policy(1.0, config)
    curves = [
        det_curve(scored_streams(streams, scores, phrase), template, frame_shift_ms, config.tolerance_ms, SELECTION_FAH)
        for phrase in range(scores[0].shape[1])
    ]
    return selection_figures(streams, curves)


def selection_figures(streams: Sequence[Stream], curves: Sequence[DetCurve]) -> dict[str, float]:
    """Return what training selects by, of the DET curve of each phrase on some streams.

    Returns:
        `mean_recall` over 0 to 2 false alarms an hour; its `standard_error`, as a share of as many trials as there are
        recordings of the phrases, down to the low end of Wilson's interval, so that it is above 0 without a miss too;
        and `frr` at 0.5 false alarms an hour.
    """
    recall = float(np.mean([mean_recall(curve, SELECTION_FAH) for curve in curves]))
    keywords = sum(distinct_keywords(streams, phrase) for phrase in range(len(curves)))
    return {
        "mean_recall": recall,
        "standard_error": recall - proportion(recall * keywords, keywords, _ONE_SIGMA).low,
        "frr": float(np.mean([frr_at_fah(curve, TIE_FAH).frr for curve in curves])),
    }


def false_alarms_at(
    threshold: float,
    streams: Sequence[Stream],
    scores: Sequence[np.ndarray],
    frame_shift_ms: float,
    config: EvaluateConfig,
) -> dict[str, float]:
    """Return what training controls the weight of other sound by: false alarms at a fixed threshold.

    Returns:
        `false_alarms` and the `hours` outside keywords, both summed over the phrases, and `fah`, their quotient.
    """
    policy = training_policy(threshold, config)
    phrases = range(scores[0].shape[1])
    tallies = [
        measure(scored_streams(streams, scores, phrase), policy, frame_shift_ms, config.tolerance_ms)
        for phrase in phrases
    ]
    alarms, hours = sum(tally.false_alarms for tally in tallies), math.fsum(tally.hours for tally in tallies)
    return {"fah": alarms / hours, "false_alarms": alarms, "hours": hours}


def training_policy(threshold: float, config: EvaluateConfig) -> Policy:
    """Return the policy that training judges and mines by: the first candidates for smoothing and votes."""
    votes = config.votes[0]
    return Policy(
        threshold,
        threshold * config.release_ratio,
        config.smoothing_frames[0],
        votes.needed,
        votes.of,
        config.refractory_ms,
    )


def report_policy(
    streams: Sequence[Stream],
    scores: Sequence[np.ndarray],
    phrase: int,
    policy: Policy,
    frame_shift_ms: float,
    tolerance_ms: int,
) -> dict[str, Any]:
    """Return the figures of one policy on streams: overall, under each condition, and by what set it off.

    A keyword occurs once under each condition, so pooled misses are not independent: the pooled interval is that of
    as many trials as there are distinct recordings, at the pooled rate. Other clips recur too, under other conditions
    and among other sound; `distinct_hours` says how long the clips are that were heard, each counted once.
    """
    pairs = scored_streams(streams, scores, phrase)
    overall = measure(pairs, policy, frame_shift_ms, tolerance_ms).figures()
    distinct = distinct_keywords(streams, phrase)
    if overall["frr"] is not None:
        overall["frr_interval"] = pooled_interval(overall["frr"], distinct)
    lengths = {segment.clip: segment.end_s - segment.start_s for stream in streams for segment in stream.segments}
    return {
        **overall,
        "distinct_keywords": distinct,
        "distinct_hours": sum(lengths.values()) / 3600,
        "conditions": {
            condition: measure(
                [pair for pair, stream in zip(pairs, streams, strict=True) if stream.condition == condition],
                policy,
                frame_shift_ms,
                tolerance_ms,
            ).figures()
            for condition in sorted({stream.condition for stream in streams})
        },
    }


def report_curve(
    curve: DetCurve,
    template: Policy,
    streams: Sequence[Stream],
    scores: Sequence[np.ndarray],
    phrase: int,
    frame_shift_ms: float,
    config: EvaluateConfig,
) -> dict[str, Any]:
    """Return FRR@FAH=x for each `report_fah`, pooled and, at the same threshold, under each condition."""
    figures = {}
    for fah in config.report_fah:
        best = frr_at_fah(curve, fah)
        row = asdict(best)
        del row["index"]
        row["frr_interval"] = pooled_interval(best.frr, distinct_keywords(streams, phrase))
        if best.threshold is not None:
            policy = _at(template, best.threshold, config.release_ratio)
            detailed = report_policy(streams, scores, phrase, policy, frame_shift_ms, config.tolerance_ms)
            row["conditions"] = {
                name: {key: value[key] for key in ("frr", "frr_interval", "misses", "keywords")}
                for name, value in detailed["conditions"].items()
            }
        figures[f"{fah:g}"] = row
    return figures


def distinct_keywords(streams: Sequence[Stream], phrase: int) -> int:
    """Return how many different recordings of a phrase the streams hold."""
    return len({segment.clip for stream in streams for segment in stream.keywords(phrase)})


def pooled_interval(frr: float, distinct: int) -> list[float]:
    """Return the interval of an FRR pooled over conditions: that of as many trials as there are recordings."""
    return list(proportion(frr * distinct, distinct))


def timed_events(
    pair: ScoredStream, policy: Policy, frame_shift_ms: float, tolerance_ms: int
) -> tuple[list[float], list[float], list[int]]:
    """Return a stream's hits and false alarms, in seconds, and the indices of the keywords missed."""
    times = [event.time_s for event in detect(pair.scores, policy, frame_shift_ms)]
    found = match(times, pair.keywords, tolerance_ms)
    return [times[event] for event, _ in found.hits], [times[event] for event in found.false_alarms], found.misses


def heard_at(segments: Sequence[Segment], time_s: float) -> Segment | None:
    """Return the clip that an event is put down to: the last one heard up to a second before; None if there is none."""
    heard = [segment for segment in segments if segment.start_s <= time_s <= segment.end_s + _AFTERMATH_S]
    return heard[-1] if heard else None


def _at(template: Policy, threshold: float, release_ratio: float) -> Policy:
    return Policy(
        threshold,
        threshold * release_ratio,
        template.smoothing_frames,
        template.votes,
        template.votes_window,
        template.refractory_ms,
    )
