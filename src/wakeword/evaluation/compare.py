"""Is the new model better, or is it noise? `python -m wakeword.evaluation.compare A B` tells, of two runs on one set.

A and B are folders with the file of outcomes (`metrics/`, `data/reports/evaluate/`), such a file, or git revisions.
`--markdown` makes it a comment for a pull request.

Differences are resampled by groups, both runs with the same draws: with other speakers, voices and sources, how else
could it have come out? Where hardly anything differs, resampling is too sure of itself; a difference counts only if
the sign test over the groups that differ agrees.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from wakeword.base.errors import UserError
from wakeword.evaluation.bootstrap import group_draws, percentile_interval
from wakeword.evaluation.intervals import Interval
from wakeword.evaluation.metrics import support
from wakeword.evaluation.outcomes import Outcomes, read_outcomes

PUBLISHED = "metrics/evaluate_outcomes.csv"
NAMES = ("evaluate_outcomes.csv", "outcomes.csv")
RESAMPLES = 2000
AT_FAH = 0.5
_SURE = 0.05
_COLUMNS = ("figure", "A", "B", "B - A, 95 %", "")


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of two runs, smaller being better.

    Attributes:
        name: what it is.
        unit: "%" for shares, "/h" for rates.
        a, b: its values, with intervals over resampled groups.
        gap: the interval of b - a.
        verdict: "better", "worse" or "noise".
    """

    name: str
    unit: str
    a: float
    b: float
    a_interval: Interval
    b_interval: Interval
    gap: Interval
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two runs differ by on one phrase, the verdict in a sentence, and what the hours can show."""

    phrase: str
    differences: list[Difference]
    sentence: str
    support: str


class _Counted:
    """One run's outcomes by group, `(groups,)` each, in an order that two runs share."""

    def __init__(self, outcomes: Outcomes, names: Sequence[str]) -> None:
        place = {name: index for index, name in enumerate(names)}
        self.of_keyword = np.array([place[group] for group in outcomes.groups], dtype=np.int64)
        self.of_alarm = np.array([place[group] for group in outcomes.alarm_groups], dtype=np.int64)
        of_point = np.array([place[group] for group in outcomes.point_groups], dtype=np.int64)
        self.hours = np.array([outcomes.hours.get(name, 0.0) for name in names])
        self.keywords = np.bincount(self.of_keyword, minlength=len(names))
        self.misses = np.bincount(self.of_keyword, ~outcomes.hit, len(names))
        self.alarms = np.bincount(of_point, minlength=len(names))
        order = np.argsort(-outcomes.alarm_scores, kind="stable")
        self.alarm_scores, self.of_alarm = outcomes.alarm_scores[order], self.of_alarm[order]
        self.scores = outcomes.scores

    def limit(self, weights: np.ndarray, fah: float) -> float:
        """Return the score of the first false alarm that FAH <= `fah` does not allow; 0 where all are allowed."""
        allowed = fah * float(weights @ self.hours) + 1e-9
        over = np.flatnonzero(np.cumsum(weights[self.of_alarm]) > allowed)
        return float(self.alarm_scores[over[0]]) if over.size else 0.0

    def missed_at(self, limit: float) -> np.ndarray:
        """Return how many keywords of each group a threshold just above `limit` misses."""
        return np.bincount(self.of_keyword, self.scores <= limit, len(self.hours))

    def frr(self, weights: np.ndarray) -> float:
        return float(weights @ self.misses) / float(weights @ self.keywords)

    def fah(self, weights: np.ndarray) -> float:
        return float(weights @ self.alarms) / float(weights @ self.hours)

    def frr_at(self, weights: np.ndarray, fah: float) -> float:
        missed = self.missed_at(self.limit(weights, fah))
        return float(weights @ missed) / float(weights @ self.keywords)


def compare(phrase: str, a: Outcomes, b: Outcomes, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compare two runs on one phrase.

    Raises:
        UserError: their test sets are not the same, or hold no keyword or no time outside keywords.
    """
    known = bool(a.sound and b.sound)
    if a.keys != b.keys or a.groups != b.groups or set(a.hours) != set(b.hours) or (known and a.sound != b.sound):
        raise UserError(f"'{phrase}': the two runs were tested on different streams; evaluate both on the same ones")
    if not a.keys or sum(a.hours.values()) <= 0:
        raise UserError(f"'{phrase}': the test streams hold no keyword, or nothing else; there is nothing to compare")
    alarms = [a.alarm_groups, b.alarm_groups, a.point_groups, b.point_groups]
    names, draws = group_draws(
        [*a.groups, *a.hours, *(group for groups in alarms for group in groups)], resamples, seed
    )
    runs = _Counted(a, names), _Counted(b, names)
    ones = np.ones(len(names))
    kept = draws[(draws @ runs[0].keywords > 0) & (draws @ runs[0].hours > 0)]
    limits = [run.limit(ones, AT_FAH) for run in runs]
    differences = [
        _difference("FRR at the operating point", "%", [[run.frr(w) for w in (ones, *kept)] for run in runs],
                    runs[1].misses - runs[0].misses),
        _difference("FAH at the operating point", "/h", [[run.fah(w) for w in (ones, *kept)] for run in runs],
                    runs[1].alarms - runs[0].alarms),
        _difference(f"FRR@FAH={AT_FAH:g}", "%", [[run.frr_at(w, AT_FAH) for w in (ones, *kept)] for run in runs],
                    runs[1].missed_at(limits[1]) - runs[0].missed_at(limits[0])),
    ]  # fmt: skip
    _, supported = support(sum(a.hours.values()), AT_FAH)
    if not known:
        supported += "; one run does not record how its streams sounded, so another level or noise goes unnoticed"
    return Comparison(phrase, differences, _sentence(differences), supported)


def _difference(name: str, unit: str, values: Sequence[Sequence[float]], more: np.ndarray) -> Difference:
    """Judge a figure of two runs.

    Args:
        values: for each run its value, and then that of each resample.
        more: how many more errors the second run makes in each group.
    """
    table = np.array(values)
    spread = [percentile_interval(row[1:]) or Interval(float(row[0]), float(row[0])) for row in table]
    gap = percentile_interval(table[1, 1:] - table[0, 1:]) or Interval(0.0, 0.0)
    worse, better = int((more > 0).sum()), int((more < 0).sum())
    sure = worse + better > 0 and stats.binomtest(worse, worse + better).pvalue < _SURE
    verdict = "noise"
    if sure and (gap.low > 0 or gap.high < 0):
        verdict = "worse" if gap.low > 0 else "better"
    return Difference(name, unit, float(table[0, 0]), float(table[1, 0]), spread[0], spread[1], gap, verdict)


def _sentence(differences: Sequence[Difference]) -> str:
    gained = [each for each in differences if each.verdict == "better"]
    lost = [each for each in differences if each.verdict == "worse"]
    if gained and lost:
        return f"B is better in {_listed(gained)}, but worse in {_listed(lost)}."
    if gained:
        return f"B is better than A: {_listed(gained)}."
    if lost:
        return f"B is worse than A: {_listed(lost)}."
    return f"It is noise: nothing shows that B differs from A; {_listed(differences)}."


def _listed(differences: Sequence[Difference]) -> str:
    return ", ".join(f"{each.name} changes by {_change(each)}" for each in differences)


def _change(each: Difference) -> str:
    scale, digits = (100.0, 1) if each.unit == "%" else (1.0, 2)
    unit = " points" if each.unit == "%" else " an hour"
    gap, low, high = (value * scale for value in (each.b - each.a, *each.gap))
    return f"{gap:+.{digits}f}{unit} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _value(value: float, interval: Interval, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return f"{value:.2f} /h [{interval.low:.2f}, {interval.high:.2f}]"


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    return [
        (each.name, _value(each.a, each.a_interval, each.unit), _value(each.b, each.b_interval, each.unit),
         _change(each), each.verdict)
        for each in comparison.differences
    ]  # fmt: skip


def as_text(comparison: Comparison) -> str:
    """Return a comparison for a terminal."""
    rows = [_COLUMNS, *_rows(comparison)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"“{comparison.phrase}”: {comparison.sentence}", "", *lines, "", f"{comparison.support}."])


def as_markdown(comparison: Comparison, a: str, b: str) -> str:
    """Return a comparison as a comment for a pull request; `a` and `b` say what was compared."""
    head = [f"### “{comparison.phrase}”", "", f"**{comparison.sentence}**", "", f"A is `{a}`, B is `{b}`.", ""]
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *_rows(comparison)]
    note = (
        f"{comparison.support}. Intervals are 95 %, over {RESAMPLES} resamples of speakers, voices and sources, "
        "the same for both; a difference counts if the sign test over the groups that differ agrees."
    )
    return "\n".join([*head, *("| " + " | ".join(row) + " |" for row in rows), "", note])


def load(name: str) -> dict[str, Outcomes]:
    """Return the outcomes of a run: of a file, a folder that holds one, or a git revision that publishes one.

    Raises:
        UserError: there is none; the message says where it was looked for.
    """
    path = Path(name)
    if path.is_file():
        return _read(path)
    if path.is_dir():
        for file in (path / each for each in NAMES):
            if file.exists():
                return _read(file)
        raise UserError(f"{path} holds neither {NAMES[0]} nor {NAMES[1]}; run `dvc repro evaluate report` there")
    try:
        shown = subprocess.run(["git", "show", f"{name}:{PUBLISHED}"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"'{name}' is no file and no folder, and git is not installed to look for a revision") from None
    if shown.returncode:
        raise UserError(
            f"'{name}' is no file, no folder and no git revision with {PUBLISHED} in it "
            f"({shown.stderr.strip() or 'git failed'})"
        )
    return read_outcomes(shown.stdout, f"{name}:{PUBLISHED}")


def _read(file: Path) -> dict[str, Outcomes]:
    try:
        return read_outcomes(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise UserError(
            f"{file} holds no outcomes: {failure}; name what `dvc repro evaluate report` wrote"
        ) from failure


def compare_runs(a: Mapping[str, Outcomes], b: Mapping[str, Outcomes]) -> list[Comparison]:
    """Compare two runs on every phrase that both know.

    Raises:
        UserError: they know no phrase in common, or see `compare`.
    """
    common = [phrase for phrase in a if phrase in b]
    if not common:
        raise UserError(f"A knows {list(a)}, B knows {list(b)}: there is no phrase to compare")
    return [compare(phrase, a[phrase], b[phrase]) for phrase in common]


def known_to_one(a: Mapping[str, Outcomes], b: Mapping[str, Outcomes]) -> list[str]:
    """Return a sentence on each phrase that only one of two runs knows."""
    runs = (("A", a, b), ("B", b, a))
    return [f"“{phrase}”: only {name} knows it." for name, one, other in runs for phrase in one if phrase not in other]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m wakeword.evaluation.compare", description=__doc__)
    parser.add_argument("a", metavar="A", help="the run to compare with")
    parser.add_argument("b", metavar="B", help="the new one")
    parser.add_argument("--markdown", action="store_true", help="for a comment on a pull request")
    arguments = parser.parse_args()
    try:
        a, b = load(arguments.a), load(arguments.b)
        comparisons = compare_runs(a, b)
    except UserError as problem:
        sys.exit(str(problem))
    for comparison in comparisons:
        print(as_markdown(comparison, arguments.a, arguments.b) if arguments.markdown else as_text(comparison))
    for sentence in known_to_one(a, b):
        print(f"\n{sentence}")


if __name__ == "__main__":
    main()
