"""The figures of a detector: misses and false alarms on streams, the DET curve, and ROC figures on clips."""

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from wakeword.detection.policy import GRID, Gate, Policy, Trace, detect, scan, smooth, to_grid
from wakeword.evaluation.intervals import Interval, poisson_rate, proportion, zero_event_bound

LOWEST_THRESHOLD = 1e-6
_LOWEST_ON_GRID = math.ceil(LOWEST_THRESHOLD / GRID) * GRID
_SLACK_S = 1e-9  # times are sums of rounded decimals; a billionth of a second is no time
_FIRST_BAND = 2000


class Keyword(NamedTuple):
    """Where in a stream the phrase is spoken, in seconds."""

    start_s: float
    end_s: float


class ScoredStream(NamedTuple):
    """One phrase's scores on a stream, `(n,)`, the keywords truly there, and the stream's length."""

    scores: np.ndarray
    keywords: Sequence[Keyword]
    seconds: float


class Match(NamedTuple):
    """Which events hit which keywords.

    Attributes:
        hits: pairs (index of the event, index of the keyword), by event.
        false_alarms: indices of the events that hit nothing.
        misses: indices of the keywords that nothing hit.
    """

    hits: list[tuple[int, int]]
    false_alarms: list[int]
    misses: list[int]


def match(event_times: Sequence[float], keywords: Sequence[Keyword], tolerance_ms: float) -> Match:
    """Assign events to keywords, at most one to one, so that as many keywords as possible are hit.

    An event may hit a keyword from its start to its end + `tolerance_ms`, both included. Events are taken in time
    order, each hitting, of the keywords that it may hit and that none has hit yet, the one whose time ends first;
    for intervals that is a largest matching (Glover, 1967).

    Args:
        event_times: seconds, ascending.
        keywords: in any order; they may overlap.
    """
    tolerance = tolerance_ms / 1000.0 + _SLACK_S
    coming = sorted(range(len(keywords)), key=lambda k: keywords[k].start_s, reverse=True)
    running: list[tuple[float, int]] = []
    hits: list[tuple[int, int]] = []
    false_alarms: list[int] = []
    for event, time in enumerate(event_times):
        while coming and keywords[coming[-1]].start_s - _SLACK_S <= time:
            keyword = coming.pop()
            heapq.heappush(running, (keywords[keyword].end_s + tolerance, keyword))
        while running and running[0][0] < time:
            heapq.heappop(running)
        if running:
            hits.append((event, heapq.heappop(running)[1]))
        else:
            false_alarms.append(event)
    hit = {keyword for _, keyword in hits}
    return Match(hits, false_alarms, [k for k in range(len(keywords)) if k not in hit])


def hours_outside(keywords: Sequence[Keyword], seconds: float) -> float:
    """Return the hours of a stream of `seconds` that lie in no keyword's interval."""
    inside, reached = 0.0, 0.0
    for start, end in sorted(keywords):
        inside += max(0.0, min(end, seconds) - max(start, reached))
        reached = max(reached, end)
    return (seconds - inside) / 3600.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted on one or many streams, for one phrase. Tallies add up: that is how streams are pooled.

    Attributes:
        keywords: keywords in the streams.
        misses: those that no event hit.
        false_alarms: events that hit no keyword.
        hours: hours of stream outside keyword intervals.
        latencies_s: for each hit, the event's time minus the keyword's end; negative where it came before the end.
    """

    keywords: int = 0
    misses: int = 0
    false_alarms: int = 0
    hours: float = 0.0
    latencies_s: tuple[float, ...] = ()

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.keywords + other.keywords,
            self.misses + other.misses,
            self.false_alarms + other.false_alarms,
            self.hours + other.hours,
            self.latencies_s + other.latencies_s,
        )

    def figures(self) -> dict[str, Any]:
        """Return the rates with their intervals and counts, ready for JSON; None where nothing was there to count."""
        late = np.array(self.latencies_s) * 1000.0
        return {
            "keywords": self.keywords,
            "misses": self.misses,
            "frr": self.misses / self.keywords if self.keywords else None,
            "frr_interval": list(proportion(self.misses, self.keywords)) if self.keywords else None,
            "false_alarms": self.false_alarms,
            "hours": self.hours,
            "fah": self.false_alarms / self.hours if self.hours > 0 else None,
            "fah_interval": list(poisson_rate(self.false_alarms, self.hours)) if self.hours > 0 else None,
            "latency_ms_median": float(np.median(late)) if late.size else None,
            "latency_ms_p95": float(np.percentile(late, 95)) if late.size else None,
        }


def tally(event_times: Sequence[float], keywords: Sequence[Keyword], seconds: float, tolerance_ms: float) -> Tally:
    """Count one stream's hits, misses and false alarms; times in seconds, ascending."""
    found = match(event_times, keywords, tolerance_ms)
    late = tuple(round(event_times[event] - keywords[keyword].end_s, 6) for event, keyword in found.hits)
    hours = hours_outside(keywords, seconds)
    return Tally(len(keywords), len(found.misses), len(found.false_alarms), hours, late)


def measure(
    streams: Iterable[tuple[np.ndarray, Sequence[Keyword], float]],
    policy: Policy,
    frame_shift_ms: float,
    tolerance_ms: float,
) -> Tally:
    """Run the detector over streams of scores and return the pooled counts. `streams` are as `ScoredStream`."""
    total = Tally()
    for scores, keywords, seconds in streams:
        times = [event.time_s for event in detect(scores, policy, frame_shift_ms)]
        total += tally(times, keywords, seconds, tolerance_ms)
    return total


@dataclass(frozen=True, slots=True)
class DetCurve:
    """FRR against FAH for every threshold at which anything changes, from the highest downwards.

    The k-th counts hold for every threshold at most `threshold[k]` and above `threshold[k + 1]` (above `floor` for the
    last). Above `threshold[0]` nothing fires.

    Attributes:
        threshold, frr, fah: `(n,)` float64. misses, false_alarms: `(n,)` int64.
        floor: the curve says nothing of thresholds at or below this.
        keywords: keywords in the streams.
        hours: hours of stream outside keyword intervals.
        max_fah: the sweep ended where FAH first exceeded this.
    """

    threshold: np.ndarray
    frr: np.ndarray
    fah: np.ndarray
    misses: np.ndarray
    false_alarms: np.ndarray
    floor: float
    keywords: int
    hours: float
    max_fah: float


def det_curve(
    streams: Iterable[tuple[np.ndarray, Sequence[Keyword], float]],
    template: Policy,
    frame_shift_ms: float,
    tolerance_ms: float = 500,
    max_fah: float = 60.0,
) -> DetCurve:
    """Sweep the threshold of a policy over the streams, exactly: no threshold that changes a count is left out.

    The release threshold keeps its ratio to the threshold. The sweep goes from high to low until FAH exceeds
    `max_fah`, or until `LOWEST_THRESHOLD`.

    Between two thresholds nothing can change unless some frame at which the detector was armed becomes a vote, or
    some frame that armed it again is no longer below the release threshold; the sweep jumps from one such threshold
    to the next, separately in each island of frames that can't affect each other.

    Args:
        streams: as `ScoredStream`.
        template: the policy whose threshold is swept; `release / threshold` is the ratio kept.

    Raises:
        ValueError: the streams hold no keyword, or no time outside keywords.
    """
    streams = list(streams)
    ratio = template.release / template.threshold
    gate = Gate.of(template, frame_shift_ms)
    sweeps = [
        _Sweep(smooth(scores, template.smoothing_frames), list(keywords), gate, ratio, frame_shift_ms, tolerance_ms)
        for scores, keywords, _ in streams
    ]
    keywords = sum(len(stream[1]) for stream in streams)
    hours = math.fsum(hours_outside(stream[1], stream[2]) for stream in streams)
    if not keywords or hours <= 0:
        raise ValueError(f"a DET curve needs keywords and time outside them; here are {keywords} and {hours:g} h")
    observed = np.unique(np.concatenate([sweep.smoothed for sweep in sweeps]))[::-1]
    # Below the lowest score that counts nothing becomes a vote, but the release threshold still falls.
    observed = np.append(observed[observed > _LOWEST_ON_GRID], _LOWEST_ON_GRID)

    def exceeds(rank: int) -> bool:
        return sum(sweep.false_alarms_at(float(observed[rank])) for sweep in sweeps) > max_fah * hours

    changes: list[tuple[float, int, int]] = []
    curve = _curve(changes, keywords, hours, max_fah, LOWEST_THRESHOLD)
    high, rank = math.inf, -1
    while rank < len(observed) - 1 and curve.floor == LOWEST_THRESHOLD:
        above, rank = rank, min(max(_FIRST_BAND, 2 * rank), len(observed) - 1)
        if exceeds(rank):
            while rank - above > 1:
                middle = (above + rank) // 2
                above, rank = (above, middle) if exceeds(middle) else (middle, rank)
        low = float(observed[rank])
        for sweep in sweeps:
            changes += sweep.changes(high, low)
        curve, high = _curve(changes, keywords, hours, max_fah, LOWEST_THRESHOLD), low
    return curve


def _curve(
    changes: list[tuple[float, int, int]], keywords: int, hours: float, max_fah: float, floor: float
) -> DetCurve:
    """Add up changes (threshold, more misses, more false alarms) into a curve that ends where FAH exceeds `max_fah`.

    `floor` is that of a curve which does not end so.
    """
    table = np.array(sorted(changes, reverse=True), dtype=np.float64).reshape(-1, 3)
    misses = keywords + np.cumsum(table[:, 1]).astype(np.int64)
    alarms = np.cumsum(table[:, 2]).astype(np.int64)
    last = np.append(table[1:, 0] != table[:-1, 0], True)[: len(table)]
    threshold, misses, alarms = table[last, 0], misses[last], alarms[last]
    moved = (np.diff(misses, prepend=keywords) != 0) | (np.diff(alarms, prepend=0) != 0)
    threshold, misses, alarms = threshold[moved], misses[moved], alarms[moved]
    over = np.flatnonzero(alarms > max_fah * hours)
    if over.size:
        floor = float(threshold[over[0]])
        threshold, misses, alarms = threshold[: over[0]], misses[: over[0]], alarms[: over[0]]
    return DetCurve(threshold, misses / keywords, alarms / hours, misses, alarms, floor, keywords, hours, max_fah)


class _Sweep:
    """One stream, ready to be run at many thresholds."""

    def __init__(
        self,
        smoothed: np.ndarray,
        keywords: list[Keyword],
        gate: Gate,
        ratio: float,
        frame_shift_ms: float,
        tolerance_ms: float,
    ) -> None:
        self.smoothed = smoothed
        self.keywords = keywords
        self.gate = gate
        self.ratio = ratio
        self.frame_shift_ms = frame_shift_ms
        self.tolerance_ms = tolerance_ms

    def false_alarms_at(self, threshold: float) -> int:
        return self._count(self._scan(self.smoothed, threshold), 0, self.keywords)[1]

    def changes(self, high: float, low: float) -> list[tuple[float, int, int]]:
        """Return what happens from just below `high` down to `low`: (threshold, more misses, more false alarms)."""
        found = []
        for start, end, keywords in self._islands(low):
            scores = self.smoothed[start:end]
            threshold = high
            trace = self._scan(scores, threshold)
            before = self._count(trace, start, keywords)
            while (threshold := self._next(scores, trace, threshold)) >= low:
                trace = self._scan(scores, threshold)
                after = self._count(trace, start, keywords)
                if after != before:
                    found.append((threshold, after[0] - before[0], after[1] - before[1]))
                    before = after
        return found

    def _scan(self, scores: np.ndarray, threshold: float) -> Trace:
        release = to_grid(threshold * self.ratio) if threshold < math.inf else threshold
        return scan(scores, self.gate._replace(threshold=threshold, release=release))

    def _count(self, trace: Trace, start: int, keywords: list[Keyword]) -> tuple[int, int]:
        times = [(start + event + 1) * self.frame_shift_ms / 1000.0 for event in trace.events]
        if not keywords or not times:
            return len(keywords), len(times)
        found = match(times, keywords, self.tolerance_ms)
        return len(found.misses), len(found.false_alarms)

    def _next(self, scores: np.ndarray, trace: Trace, threshold: float) -> float:
        """Return the highest lower threshold at which this trace may change; 0 if there is none."""
        best = 0.0
        for armed, event in zip([0, *trace.rearms], [*trace.events, len(scores) - 1], strict=False):
            span = scores[armed : event + 1]
            # All of an armed span is below the threshold, but for votes that were too few.
            best = max(best, float(np.max(span, where=span < threshold, initial=0.0)))
        if trace.rearms:
            best = max(best, self._released(float(scores[trace.rearms].max())))
        return best

    def _released(self, score: float) -> float:
        """Return the highest threshold on the grid whose release threshold does not exceed `score`."""
        steps = math.floor((score / GRID + 0.5) / self.ratio) + 2
        while to_grid(steps * GRID * self.ratio) > score:
            steps -= 1
        return steps * GRID

    def _islands(self, low: float) -> list[tuple[int, int, list[Keyword]]]:
        """Split the stream into (first frame, end frame, keywords) that are independent at any threshold >= `low`.

        Islands start with the detector armed, without votes, free of the refractory time. Frames in no island never
        fire; keywords in no island are always missed and are left out.
        """
        cores = np.flatnonzero(self.smoothed >= low)
        if not cores.size:
            return []
        # An event is at most a voting window after a core. From then on, wait for release and refractory.
        fired = cores + self.gate.window
        below = np.append(np.flatnonzero(self.smoothed < to_grid(low * self.ratio)), len(self.smoothed))
        fresh = np.maximum(fired + self.gate.refractory, below[np.searchsorted(below[:-1], fired)])
        first = np.append(True, cores[1:] > fresh[:-1])
        starts = cores[first]
        ends = np.minimum(fired[np.append(first[1:], True)], len(self.smoothed))
        shift = self.frame_shift_ms / 1000.0
        pieces = [((s + 1) * shift, e * shift, s, e, -1) for s, e in zip(starts.tolist(), ends.tolist(), strict=True)]
        # One keyword may be hit from two islands, and one event may hit either of two keywords: join those.
        reach = self.tolerance_ms / 1000.0 + 2 * _SLACK_S
        pieces += [(k.start_s - _SLACK_S, k.end_s + reach, -1, -1, i) for i, k in enumerate(self.keywords)]
        islands: list[tuple[int, int, list[Keyword]]] = []
        until, start, end, held = -math.inf, -1, -1, list[Keyword]()
        for begins, ceases, first_frame, end_frame, index in [*sorted(pieces), (math.inf, math.inf, -1, -1, -1)]:
            if begins > until:
                if start >= 0:
                    islands.append((start, end, held))
                start, end, held = -1, -1, []
            until = max(until, ceases)
            if index >= 0:
                held.append(self.keywords[index])
            elif end_frame >= 0:
                start, end = (start if start >= 0 else first_frame), end_frame
        return islands


@dataclass(frozen=True, slots=True)
class FrrAtFah:
    """The FRR of the highest-recall policy whose FAH is at most `max_fah`, and how far the hours carry it.

    Attributes:
        max_fah: the x of FRR@FAH=x.
        threshold: that policy's; None if none fires without exceeding `max_fah`, which leaves every keyword missed.
        index: its index in the curve; None likewise.
        supported: whether the hours, without a single false alarm in them, would show FAH <= `max_fah` at 95 %.
        statement: the same in words.
    """

    max_fah: float
    threshold: float | None
    index: int | None
    frr: float
    frr_interval: Interval
    misses: int
    keywords: int
    fah: float
    fah_interval: Interval
    false_alarms: int
    hours: float
    supported: bool
    statement: str


def frr_at_fah(curve: DetCurve, max_fah: float) -> FrrAtFah:
    """Return FRR@FAH=`max_fah`. Of equal recalls the fewest false alarms are taken, then the highest threshold.

    Raises:
        ValueError: the curve was swept to less than `max_fah`.
    """
    if max_fah > curve.max_fah:
        raise ValueError(f"the curve ends at {curve.max_fah:g} false alarms an hour; {max_fah:g} is beyond it")
    allowed = np.flatnonzero(curve.fah <= max_fah)
    index: int | None = None
    misses, alarms = curve.keywords, 0
    if allowed.size:
        order = np.lexsort((allowed, curve.false_alarms[allowed], curve.misses[allowed]))
        best = int(allowed[order[0]])
        if curve.misses[best] < curve.keywords:
            index, misses, alarms = best, int(curve.misses[best]), int(curve.false_alarms[best])
    supported, statement = support(curve.hours, max_fah)
    return FrrAtFah(
        max_fah=max_fah,
        threshold=None if index is None else float(curve.threshold[index]),
        index=index,
        frr=misses / curve.keywords,
        frr_interval=proportion(misses, curve.keywords),
        misses=misses,
        keywords=curve.keywords,
        fah=alarms / curve.hours,
        fah_interval=poisson_rate(alarms, curve.hours),
        false_alarms=alarms,
        hours=curve.hours,
        supported=supported,
        statement=statement,
    )


def support(hours: float, fah: float) -> tuple[bool, str]:
    """Return whether `hours` of stream can show a false-alarm rate of at most `fah`, and that in words.

    Zero events in T hours bound FAH only at 3 / T, one-sided at 95 %.
    """
    bound = zero_event_bound(hours)
    if bound <= fah:
        return True, f"{hours:.3g} h can show FAH ≤ {fah:g}: without a false alarm they bound it at {bound:.3g}"
    needed = zero_event_bound(fah)
    return False, (
        f"{hours:.3g} h cannot show FAH ≤ {fah:g}: even without a false alarm they bound it only at {bound:.3g}; "
        f"at least {needed:.3g} h are needed"
    )


def mean_recall(curve: DetCurve, max_fah: float = 2.0) -> float:
    """Return the mean of 1 - FRR@FAH=x over x from 0 to `max_fah`: the exact integral of that step function.

    Raises:
        ValueError: the curve was swept to less than `max_fah`, or `max_fah` is not above 0.
    """
    if not 0 < max_fah <= curve.max_fah:
        raise ValueError(f"max_fah is {max_fah}; it must be above 0 and within the curve's {curve.max_fah:g}")
    order = np.argsort(curve.fah, kind="stable")
    fah = curve.fah[order]
    recall = np.maximum.accumulate(1.0 - curve.frr[order])
    edges = np.append(np.minimum(fah, max_fah), max_fah)
    return float(np.sum(np.diff(edges) * recall) / max_fah)


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """How well clip scores tell the phrase from all else, whatever the threshold.

    Attributes:
        roc_auc: area under the ROC curve.
        pauc: the same over FPR <= 0.1, interpolated at the edge, divided by 0.1; 0.05 by chance.
        eer: where FPR = FNR, interpolated.
    """

    positives: int
    negatives: int
    roc_auc: float
    pauc: float
    eer: float


def clip_figures(positive: np.ndarray, negative: np.ndarray, edge: float = 0.1) -> ClipFigures:
    """Return the ROC figures of clip scores, `(p,)` of the phrase and `(n,)` of all else. Ties count half.

    Raises:
        ValueError: one side is empty, or a score is not finite.
    """
    fpr, tpr = roc(positive, negative)
    inner = fpr < edge
    x = np.append(fpr[inner], edge)
    y = np.append(tpr[inner], _at(fpr, tpr, edge))
    return ClipFigures(
        positives=len(positive),
        negatives=len(negative),
        roc_auc=float(np.trapezoid(tpr, fpr)),
        pauc=float(np.trapezoid(y, x)) / edge,
        eer=_equal_error(fpr, tpr),
    )


def roc(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ROC curve (FPR, TPR), each `(k,)` from 0 to 1, one point for each distinct score.

    Raises:
        ValueError: one side is empty, or a score is not finite.
    """
    scores = np.concatenate([positive, negative]).astype(np.float64)
    if not len(positive) or not len(negative) or not np.isfinite(scores).all():
        raise ValueError(
            f"ROC figures need finite scores of both kinds; here are {len(positive)} of the phrase, "
            f"{len(negative)} others and {int((~np.isfinite(scores)).sum())} that are not finite"
        )
    order = np.argsort(-scores, kind="stable")
    is_positive = order < len(positive)
    last = np.append(np.diff(scores[order]) != 0, True)
    found = np.cumsum(is_positive)[last]
    wrong = np.cumsum(~is_positive)[last]
    return np.append(0.0, wrong / len(negative)), np.append(0.0, found / len(positive))


def _at(fpr: np.ndarray, tpr: np.ndarray, edge: float) -> float:
    """Return TPR just at `edge`: the lowest there if the curve is vertical, as its area does not depend on it."""
    right = int(np.searchsorted(fpr, edge, side="left"))
    left = right - 1
    share = (edge - fpr[left]) / (fpr[right] - fpr[left])
    return float(tpr[left] + share * (tpr[right] - tpr[left]))


def _equal_error(fpr: np.ndarray, tpr: np.ndarray) -> float:
    """Return FPR where the curve, drawn with straight lines, crosses FPR = 1 - TPR."""
    excess = fpr + tpr - 1.0  # from -1 to 1, never falling
    right = int(np.searchsorted(excess, 0.0, side="left"))
    left = right - 1
    share = -excess[left] / (excess[right] - excess[left])
    return float(fpr[left] + share * (fpr[right] - fpr[left]))
