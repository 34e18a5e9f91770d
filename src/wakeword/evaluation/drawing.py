"""The pictures of an examined phrase, and the same as tables for `dvc plots`."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wakeword.corpus.manifest import SAMPLE_RATE
from wakeword.evaluation.errors import Mistake, moment, smoothed_scores, worst_false_alarms, worst_misses
from wakeword.evaluation.examination import Examined, Material, Setting
from wakeword.evaluation.intervals import Interval
from wakeword.evaluation.metrics import DetCurve, roc
from wakeword.evaluation.outcomes import FalseAlarm, KeywordOutcome
from wakeword.evaluation.plots import (
    DetLine,
    DetPoint,
    Rate,
    plot_det,
    plot_latency,
    plot_moments,
    plot_rates,
    plot_reliability,
    plot_roc,
    plot_score_histogram,
    plot_timeline,
)
from wakeword.evaluation.sound import span_of
from wakeword.features.store import Stream

TIMELINE_S = 30.0
_ROC_EDGE = 0.1
_MOST_POINTS = 400  # of a curve in a table
_SCORE_BINS = 25
_SHOWN = 3  # mistakes of each sort in the picture


def draw(
    folder: Path,
    stem: str,
    examined: Examined,
    test: Material,
    setting: Setting,
    more_curves: Mapping[str, DetCurve],
    mistakes: Sequence[Mistake],
) -> None:
    """Fill a folder with pictures and tables whose names begin with `stem`.

    Args:
        more_curves: DET curves to draw beside test's, by label.
        mistakes: those of `worst_mistakes`.
    """
    _draw_det(folder, stem, examined, more_curves)
    _draw_clips(folder, stem, examined)
    _draw_calibration(folder, stem, examined)
    _draw_latency(folder, stem, examined)
    _draw_slices(folder, stem, examined)
    _draw_timeline(folder / f"{stem}timeline.png", examined, test, setting)
    _draw_mistakes(folder / f"{stem}errors.png", examined, test, setting, mistakes)


def worst_mistakes(examined: Examined, test: Material, setting: Setting, most: int) -> list[Mistake]:
    """Return the worst false alarms, then the worst misses, at most so many of each."""
    smoothed = smoothed_scores(test.streams.streams, test.scores, examined.index, examined.policy)
    shift, clips, tolerance_ms = setting.frame_shift_ms, setting.corpus, setting.config.tolerance_ms
    misses = worst_misses(
        examined.keywords, examined.levels, smoothed, shift, examined.policy, tolerance_ms, clips, most
    )
    return [*worst_false_alarms(examined.alarms, smoothed, shift, clips, most), *misses]


def write_table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table for `dvc plots`, numbers to six digits."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(head)
        for row in rows:
            lines.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row])


def _draw_det(folder: Path, stem: str, examined: Examined, more_curves: Mapping[str, DetCurve]) -> None:
    curves, at = {**more_curves, "test": examined.curve}, examined.at_point
    lines = [DetLine(name, curve.fah, curve.frr, curve.keywords, curve.hours) for name, curve in curves.items()]
    point = DetPoint("test", at["fah"], Interval(*at["fah_interval"]), at["frr"], Interval(*at["frr_interval"]))
    plot_det(folder / f"{stem}det.png", f"“{examined.phrase}”: misses against false alarms", lines, [point])
    curve = examined.curve
    thresholds = map(repr, curve.threshold.tolist())  # in full: rounded up, one would lose the event it was read off
    rows = zip(curve.fah.tolist(), curve.frr.tolist(), thresholds, strict=True)
    write_table(folder / f"{stem}det.csv", ["fah", "frr", "threshold"], rows)


def _draw_clips(folder: Path, stem: str, examined: Examined) -> None:
    clips, figures = examined.clips, examined.report["clips"]
    said, others = clips.scores[clips.is_phrase], clips.scores[~clips.is_phrase]
    plot_score_histogram(
        folder / f"{stem}clip_scores.png",
        f"“{examined.phrase}”: test clips scored alone",
        said,
        others,
        score_label="highest score of the clip",
    )
    edges = np.linspace(0.0, 1.0, _SCORE_BINS + 1)
    shares = [np.histogram(np.clip(scores, 0, 1), edges)[0] / max(1, len(scores)) for scores in (said, others)]
    rows = zip(((edges[:-1] + edges[1:]) / 2).tolist(), shares[0].tolist(), shares[1].tolist(), strict=True)
    write_table(folder / f"{stem}clip_scores.csv", ["score", "phrase", "others"], rows)

    fpr, tpr = roc(said, others)
    names = {"roc_auc": "ROC AUC", "pauc": "pAUC to 10 %", "eer": "EER", "average_precision": "average precision"}
    written = [f"{label} {_with_interval(figures, name)}" for name, label in names.items()]
    counted = (
        f"{figures['positives']:,} clips of the phrase, {figures['negatives']:,} others, {figures['groups']} groups"
    )
    plot_roc(
        folder / f"{stem}roc.png",
        f"“{examined.phrase}”: ROC of test clips scored alone\n{counted}",
        fpr,
        tpr,
        ["; ".join(written[:2]), "; ".join(written[2:])],
        _ROC_EDGE,
    )
    kept = np.unique(np.linspace(0, len(fpr) - 1, _MOST_POINTS).round().astype(int))
    write_table(folder / f"{stem}roc.csv", ["fpr", "tpr"], zip(fpr[kept].tolist(), tpr[kept].tolist(), strict=True))


def _with_interval(figures: Mapping[str, Any], name: str) -> str:
    interval = figures["intervals"].get(name)
    return f"{figures[name]:.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")


def _draw_calibration(folder: Path, stem: str, examined: Examined) -> None:
    title = f"“{examined.phrase}”: are scores probabilities?\n{len(examined.clips.scores):,} test clips scored alone"
    versions = {label: (each.clips, each.score, each.share) for label, each in examined.reliability.items()}
    plot_reliability(folder / f"{stem}calibration.png", title, versions)
    rows = [
        (version, score, share, count)
        for version, curve in zip(("as scored", "at temperature"), examined.reliability.values(), strict=False)
        for count, score, share in zip(curve.clips.tolist(), curve.score.tolist(), curve.share.tolist(), strict=True)
    ]
    write_table(folder / f"{stem}calibration.csv", ["version", "score", "share", "clips"], rows)


def _draw_latency(folder: Path, stem: str, examined: Examined) -> None:
    late = np.array([k.event_s - k.segment.end_s for k in examined.keywords if k.event_s is not None])
    plot_latency(folder / f"{stem}latency.png", f"“{examined.phrase}”: latency on test", late)
    ordered = np.sort(late) * 1000
    rows = [(round(float(value), 3), (place + 1) / len(ordered)) for place, value in enumerate(ordered)]
    write_table(folder / f"{stem}latency.csv", ["latency_ms", "share"], rows)


def _draw_slices(folder: Path, stem: str, examined: Examined) -> None:
    slices = examined.report["slices"]
    missed = {
        _spaced(name): [
            Rate(value, row["frr"], row["frr_interval"], f"{row['misses']} of {row['keywords']}")
            for value, row in sorted(rows.items(), key=_in_order)
        ]
        for name, rows in slices["misses"].items()
    }
    alarmed = {
        _spaced(name): [
            Rate(value, row["fah"], row["fah_interval"], f"{row['false_alarms']} in {row['hours']:.3g} h")
            for value, row in sorted(rows.items(), key=_in_order)
            if row["fah"] is not None
        ]
        for name, rows in slices["false_alarms"].items()
    }
    at = examined.at_point
    alarms = "1 false alarm" if at["false_alarms"] == 1 else f"{at['false_alarms']} false alarms"
    hours = f"{alarms} in {at['hours']:.3g} h"
    misses = f"{at['misses']} of {at['keywords']} keywords missed ({at['distinct_keywords']} recordings)"
    for name, sections, title, label in (
        ("misses", missed, f"misses at the operating point\n{misses}", "missed keywords (FRR)"),
        ("false_alarms", alarmed, f"false alarms at the operating point\n{hours}", "false alarms per hour (FAH)"),
    ):
        path, heading = folder / f"{stem}{name}.png", f"“{examined.phrase}”: {title}"
        plot_rates(path, heading, sections, f"{label}, with 95 % intervals", name == "misses")
        rows = [
            (f"{section}: {rate.label}", float(rate.rate), *map(float, rate.interval), rate.counted)
            for section, rates in sections.items()
            for rate in rates
        ]
        write_table(path.with_suffix(".csv"), ["slice", "rate", "low", "high", "counted"], rows)


def _spaced(name: str) -> str:
    return {"snr_db": "SNR (dB)", "duration_s": "duration (s)", "level_dbfs": "level (dBFS)"}.get(
        name, name.replace("_", " ")
    )


def _in_order(item: tuple[str, Any]) -> tuple[int, float, str]:
    """Sort ranges by their numbers, what is open at the top last, and all else by name."""
    numbers = [word for word in item[0].split() if word.lstrip("-").replace(".", "", 1).isdigit()]
    if not numbers:
        return 0, 0.0, item[0]
    first = float(numbers[0])
    return 1, first - 1e-3 if item[0].startswith("below") else first, item[0]


def _draw_timeline(path: Path, examined: Examined, test: Material, setting: Setting) -> None:
    """Draw the half minute around the first false alarm, else the first miss, else the first keyword."""
    stream, centre = _telling_moment(examined.keywords, examined.alarms, test.streams.streams)
    shift, policy = setting.frame_shift_ms, examined.policy
    first = int(max(0.0, min(centre - TIMELINE_S / 2, stream.seconds - TIMELINE_S)) * 1000 / shift)
    frames, per_frame = int(TIMELINE_S * 1000 / shift), round(SAMPLE_RATE * shift / 1000)
    smoothed = smoothed_scores(test.streams.streams, test.scores, examined.index, policy)[stream.name]
    here = [keyword for keyword in examined.keywords if keyword.stream is stream]
    plot_timeline(
        path,
        f"“{examined.phrase}”: {stream.name}",
        span_of(test.streams, stream).read(first * per_frame, (first + frames) * per_frame),
        SAMPLE_RATE,
        smoothed[first : first + frames],
        shift,
        policy.threshold,
        policy.release,
        [keyword.event_s for keyword in here if keyword.event_s is not None],
        [alarm.time_s for alarm in examined.alarms if alarm.stream is stream],
        [(keyword.segment.start_s, keyword.segment.end_s) for keyword in here],
        first * shift / 1000,
    )


def _telling_moment(
    keywords: Sequence[KeywordOutcome], alarms: Sequence[FalseAlarm], streams: Sequence[Stream]
) -> tuple[Stream, float]:
    if alarms:
        return alarms[0].stream, alarms[0].time_s
    for keyword in [*(each for each in keywords if each.event_s is None), *keywords]:
        return keyword.stream, keyword.segment.end_s
    return streams[0], 0.0


def _draw_mistakes(
    path: Path, examined: Examined, test: Material, setting: Setting, mistakes: Sequence[Mistake]
) -> None:
    shift = setting.frame_shift_ms
    smoothed = smoothed_scores(test.streams.streams, test.scores, examined.index, examined.policy)
    sorts = [[each for each in mistakes if each.what == what][:_SHOWN] for what in ("false alarm", "miss")]
    moments = [
        moment(mistake, test.streams, smoothed, shift, examined.keywords, examined.alarms)
        for those in sorts
        for mistake in those
    ]
    title = f"“{examined.phrase}”: the worst mistakes on test"
    plot_moments(path, title, moments, SAMPLE_RATE, shift, examined.policy.threshold)
