"""What was found of a phrase, in lines for a terminal; no rate without its interval and count."""

from collections.abc import Mapping
from typing import Any

from wakeword.evaluation.examination import Examined

_CLIP_FIGURES = {
    "eer": "EER",
    "pauc": "pAUC to 10 %",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "f1": "F1",
}


def summary(examined: Examined) -> str:
    """Return the figures of one phrase as text."""
    at, report = examined.at_point, examined.report
    lines = [
        f"“{examined.phrase}” on test, threshold {examined.policy.threshold:.4g}",
        f"  FRR {_share(at)}: {at['misses']} of {at['keywords']} missed, {at['distinct_keywords']} recordings",
        f"  FAH {_rate(at)}: {at['false_alarms']} in {at['hours']:.2f} h",
        _latency(at),
    ]
    for row in report["frr_at_fah"].values():
        counted = f"{row['misses']} of {row['keywords']} missed, {row['false_alarms']} false alarms"
        lines.append(f"  FRR@FAH={row['max_fah']:g}: {_share(row)}: {counted}; {row['statement']}")
    clips = report["clips"]
    lines.append(f"  clips heard alone: {clips['positives']} of the phrase, {clips['negatives']} others")
    lines += [f"    {label} {_interval(clips, name)}" for name, label in _CLIP_FIGURES.items()]
    if (calibration := report["calibration"]) is not None:
        fitted = f"at temperature {calibration['temperature']:.2f} (fitted on {calibration['dev_clips']} dev clips)"
        lines.append(f"    ECE {_interval(calibration, 'ece_before')}, {fitted} {_interval(calibration, 'ece_after')}")
    for name, rows in report["slices"]["misses"].items():
        lines.append(f"  FRR by {name}")
        lines += [f"    {value}: {_share(row)}: {row['misses']} of {row['keywords']}" for value, row in rows.items()]
    for name, rows in report["slices"]["false_alarms"].items():
        lines.append(f"  FAH by {name}")
        lines += [
            f"    {value}: {_rate(row)}: {row['false_alarms']} in {row['hours']:.3g} h" for value, row in rows.items()
        ]
    return "\n".join(lines)


def rates(figures: Mapping[str, Any]) -> dict[str, str]:
    """Return FRR and FAH of `Tally.figures`, each with its interval and what it is counted on, for a log line."""
    return {
        "frr": f"{_share(figures)}: {figures['misses']} of {figures['keywords']}",
        "fah": f"{_rate(figures)}: {figures['false_alarms']} in {figures['hours']:.2f} h",
    }


def summary_of_which(report: Mapping[str, Any]) -> str:
    """Return how well the phrases are told apart, from what `report_which_phrase` returns, as text."""
    lines = [
        f"Which phrase a test clip says, or none, at the threshold {report['threshold']:.4g} (for clips heard alone; "
        f"the shipped policy has its own, chosen on streams): {_right(report)}"
    ]
    rows = {f"“{phrase}”": row for phrase, row in report["phrases"].items()} | report["others"]
    for name, row in rows.items():
        taken = [f"{count} taken for “{phrase}”" for phrase, count in row["taken_for"].items()]
        lines.append("; ".join([f"  {name}: {_right(row)}", *taken]))
    return "\n".join(lines)


def _right(row: Mapping[str, Any]) -> str:
    low, high = row["accuracy_interval"]
    return f"{100 * row['accuracy']:.1f} % [{100 * low:.1f}, {100 * high:.1f}], {row['right']} of {row['clips']} right"


def _share(row: Mapping[str, Any]) -> str:
    low, high = row["frr_interval"]
    return f"{100 * row['frr']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _rate(row: Mapping[str, Any]) -> str:
    if row["fah"] is None:
        return "no hours of its own"
    low, high = row["fah_interval"]
    return f"{row['fah']:.2f} [{low:.2f}, {high:.2f}]"


def _latency(at: Mapping[str, Any]) -> str:
    if at["latency_ms_median"] is None:
        return "  nothing was found, so there is no latency"
    hits = at["keywords"] - at["misses"]
    return (
        f"  latency after the keyword's end: median {at['latency_ms_median']:.0f} ms, 95th percentile "
        f"{at['latency_ms_p95']:.0f} ms, of {hits} hits"
    )


def _interval(figures: Mapping[str, Any], name: str) -> str:
    interval = figures["intervals"].get(name)
    return f"{figures[name]:.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")
