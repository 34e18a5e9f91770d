"""The pictures of an evaluation, as PNG files whose bytes depend on the data alone."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator, PercentFormatter

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#1f5fa8", "#d9730d", "#2b8a3e", "#c92a2a", "#868e96"
_LINE_COLOURS = (_BLUE, _ORANGE, _GREEN, "#7048b6")
_COLUMNS = 1200


@dataclass(frozen=True, slots=True)
class Rate:
    """A row of a plot of rates: what it is of, the rate with its interval, (low, high), and what was counted."""

    label: str
    rate: float
    interval: Sequence[float]
    counted: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A few seconds of a stream to draw.

    Attributes:
        title: what happened there, in one or two short lines.
        pcm: `(samples,)` int16, the stretch.
        scores: `(n,)` smoothed scores of it; the first is at `start_s` + one frame shift.
        hits, false_alarms: event times, in seconds from the start of the stream, as are `keywords`, (start, end).
        start_s: where in the stream the stretch begins.
    """

    title: str
    pcm: np.ndarray
    scores: np.ndarray
    hits: Sequence[float]
    false_alarms: Sequence[float]
    keywords: Sequence[tuple[float, float]]
    start_s: float


@dataclass(frozen=True, slots=True)
class DetLine:
    """One curve of a DET plot: `(n,)` FAH and FRR in any order, and how much was measured."""

    label: str
    fah: np.ndarray
    frr: np.ndarray
    keywords: int
    hours: float


@dataclass(frozen=True, slots=True)
class DetPoint:
    """One policy's figures on a DET plot, drawn with their intervals, (low, high)."""

    label: str
    fah: float
    fah_interval: Sequence[float]
    frr: float
    frr_interval: Sequence[float]


def plot_det(path: Path, title: str, lines: Sequence[DetLine], points: Sequence[DetPoint] = ()) -> None:
    """Draw FRR against FAH on a logarithmic axis; what has no false alarm stands at the left edge, marked 0.

    A curve is drawn as the lowest FRR to be had at each FAH. A point takes the colour of the line of its label. Nothing
    is shown above the FRR that every curve has without a false alarm, so that the rates that matter fill the page.
    """
    positive = [value for line in lines for value in line.fah if value > 0]
    positive += [value for point in points for value in (point.fah, *point.fah_interval) if value > 0]
    right = 10.0 ** np.ceil(np.log10(max([*positive, 1.0]) * 1.001))
    left = 10.0 ** np.floor(np.log10(min([*positive, right / 100])))
    zero = left / 3
    top = max(
        [float(line.frr[line.fah <= 0].min(initial=1.0)) for line in lines]
        + [float(value) for point in points for value in (point.frr, point.frr_interval[1])],
        default=1.0,
    )
    with _style():
        figure, (axes,) = _figure(1, (7.5, 5.2))
        for colour, line in zip(_colours(len(lines)), lines, strict=True):
            order = np.argsort(line.fah, kind="stable")
            x = np.maximum(np.concatenate([[zero], line.fah[order], [line.fah.max(initial=0.0)]]), zero)
            y = np.minimum.accumulate(np.concatenate([[1.0], line.frr[order]]))
            axes.step(x, np.append(y, y[-1]), where="post", color=colour, linewidth=1.8, label=line.label)
        for index, point in enumerate(points):
            names = [line.label for line in lines]
            colour = _colours(len(lines))[names.index(point.label)] if point.label in names else "black"
            x0, low, high = (max(value, zero) for value in (point.fah, *point.fah_interval))
            axes.errorbar(
                x0,
                point.frr,
                xerr=[[x0 - low], [high - x0]],
                yerr=[[point.frr - point.frr_interval[0]], [point.frr_interval[1] - point.frr]],
                fmt="os^D"[index % 4],
                color=colour,
                ecolor="#343a40",
                elinewidth=1.1,
                markeredgecolor="white",
                markersize=9,
                capsize=4,
                zorder=5,
                label=f"operating point, {point.label}: FRR {point.frr:.1%}, FAH {point.fah:.3g} (95 % intervals)",
            )
        axes.set_xscale("log")
        axes.set_xlim(zero * 0.85, right)
        decades = [float(10.0**power) for power in np.arange(np.log10(left), np.log10(right) + 0.5)]
        axes.xaxis.set_major_locator(FixedLocator([zero, *decades]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value < left * 0.99 else f"{value:g}"))
        minor = [step * decade for decade in decades[:-1] for step in range(2, 10)]
        axes.xaxis.set_minor_locator(FixedLocator(minor))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.axvline(left * 0.6, color=_GREY, linewidth=0.8, linestyle=(0, (1, 3)))
        highest = min(1.02, max(1.15 * top, 0.05))
        axes.set_ylim(-0.02 * highest, highest)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("false alarms per hour of stream (FAH), logarithmic")
        axes.set_ylabel("missed keywords (FRR)")
        axes.grid(which="minor", axis="x", alpha=0.45)
        measured = "; ".join(f"{line.label} {line.keywords:,} keywords, {line.hours:.3g} h" for line in lines)
        axes.set_title(f"{title}\n{measured}", parse_math=False)
        _legend_below(figure, axes)
        _save(figure, path)


def plot_score_histogram(
    path: Path,
    title: str,
    keyword_scores: np.ndarray,
    other_scores: np.ndarray,
    threshold: float | None = None,
    score_label: str = "highest smoothed score",
) -> None:
    """Draw how the scores, 0 to 1, of keywords, `(p,)`, and of all else, `(n,)`, are spread; counts are logarithmic."""
    edges = np.linspace(0.0, 1.0, 51)
    with _style():
        figure, (axes,) = _figure(1, (7.5, 4.6))
        for scores, colour, what in ((other_scores, _GREY, "other"), (keyword_scores, _BLUE, "keyword")):
            counts, _ = np.histogram(np.clip(scores, 0.0, 1.0), edges)
            label = f"{what}: {len(scores):,}"
            axes.stairs(counts, edges, baseline=0.5, fill=True, color=colour, alpha=0.35)
            axes.stairs(counts, edges, baseline=0.5, color=colour, linewidth=1.4, label=label)
        if threshold is not None:
            axes.axvline(threshold, color=_RED, linewidth=1.4, linestyle="--", label=f"threshold {threshold:.3g}")
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.5)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else ""))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlim(0.0, 1.0)
        axes.set_xlabel(score_label)
        axes.set_ylabel("count, logarithmic")
        axes.set_title(f"{title}\n{len(keyword_scores):,} keywords, {len(other_scores):,} others", parse_math=False)
        _legend_below(figure, axes)
        _save(figure, path)


def plot_latency(path: Path, title: str, latencies_s: np.ndarray) -> None:
    """Draw how long after the keyword's end the hits came, `(hits,)` seconds; negative is before the end."""
    late = np.asarray(latencies_s, dtype=np.float64) * 1000.0
    with _style():
        figure, (axes,) = _figure(1, (7.5, 4.2))
        low = np.floor(late.min(initial=0.0) / 20.0) * 20.0
        high = max(np.ceil(late.max(initial=0.0) / 20.0) * 20.0, low + 100.0)
        width = 20.0 * np.ceil((high - low) / 20.0 / 60.0)
        axes.hist(
            late, bins=np.arange(low, high + 1.5 * width, width).tolist(), color=_BLUE, edgecolor="white", linewidth=0.5
        )
        if late.size:
            median, p95 = np.median(late), np.percentile(late, 95)
            axes.axvline(median, color=_ORANGE, linewidth=1.6, label=f"median {median:.0f} ms")
            axes.axvline(p95, color=_RED, linewidth=1.6, linestyle="--", label=f"95th percentile {p95:.0f} ms")
        else:
            axes.set_ylim(0, 1)
            axes.text(0.5, 0.5, "no hit", transform=axes.transAxes, ha="center", va="center", color=_GREY)
        axes.axvline(0.0, color="black", linewidth=0.8, label="end of the keyword")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("event after the end of the keyword (ms)")
        axes.set_ylabel("hits")
        axes.set_title(f"{title}\n{late.size:,} hits", parse_math=False)
        _legend_below(figure, axes)
        _save(figure, path)


def plot_timeline(
    path: Path,
    title: str,
    pcm: np.ndarray,
    sample_rate: int,
    scores: np.ndarray,
    frame_shift_ms: float,
    threshold: float,
    release: float,
    hit_times: Sequence[float],
    false_alarm_times: Sequence[float],
    keywords: Sequence[tuple[float, float]],
    start_s: float = 0.0,
) -> None:
    """Draw a stretch of stream: waveform, smoothed score, threshold, events, and the keywords truly there.

    Args:
        pcm: `(samples,)` int16, the stretch.
        scores: `(n,)` smoothed scores of the stretch; the first is at `start_s` + one frame shift.
        hit_times, false_alarm_times: seconds from the start of the stream, as are `keywords`, (start, end).
        start_s: where in the stream the stretch begins.
    """
    end_s = start_s + len(pcm) / sample_rate
    with _style():
        figure, (wave, score) = _figure(2, (12.0, 5.6), (2, 3))
        low, high = _envelope(pcm)
        x = start_s + np.linspace(0.0, len(pcm) / sample_rate, len(low))
        wave.fill_between(x, low, high, color=_GREY, linewidth=0.5, edgecolor=_GREY)
        reach = max(0.02, float(np.abs([low, high]).max(initial=0.0))) * 1.1
        wave.set_ylim(-reach, reach)
        wave.set_ylabel("waveform\n(full scale = 1)")
        times = start_s + (np.arange(len(scores)) + 1) * frame_shift_ms / 1000.0
        score.plot(times, scores, color=_BLUE, linewidth=1.2, label="smoothed score")
        score.axhline(threshold, color=_RED, linewidth=1.1, linestyle="--", label=f"threshold {threshold:.3g}")
        score.axhline(release, color=_RED, linewidth=1.0, linestyle=":", label=f"release {release:.3g}")
        for axes in (wave, score):
            for number, (begin, end) in enumerate(keywords):
                label = "keyword (truth)" if number == 0 and axes is score else None
                axes.axvspan(max(begin, start_s), min(end, end_s), color=_GREEN, alpha=0.18, linewidth=0, label=label)
        for events, marker, colour, what in (
            (hit_times, "v", _GREEN, "hit"),
            (false_alarm_times, "X", _RED, "false alarm"),
        ):
            shown = [time for time in events if start_s <= time <= end_s]
            score.scatter(
                shown, [1.09] * len(shown), marker=marker, s=60, color=colour, label=f"{what}: {len(shown)}", zorder=5
            )
            for time in shown:
                score.axvline(time, color=colour, linewidth=0.8, alpha=0.7)
        score.set_ylim(-0.03, 1.18)
        score.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
        score.set_ylabel("score")
        score.set_xlim(start_s, end_s)
        score.set_xlabel("time in the stream (s)")
        inside = sum(start_s < end and begin < end_s for begin, end in keywords)
        noun = "keyword" if inside == 1 else "keywords"
        wave.set_title(f"{title}\n{end_s - start_s:.4g} s of stream, {inside} {noun}", parse_math=False)
        _legend_below(figure, score)
        _save(figure, path)


def plot_roc(path: Path, title: str, fpr: np.ndarray, tpr: np.ndarray, figures: Sequence[str], edge: float) -> None:
    """Draw a ROC curve of clips, `(k,)` each, beside its part up to FPR = `edge`, which decides in practice.

    Args:
        figures: what to write below, such as areas with their intervals.
    """
    with _style():
        figure = Figure(figsize=(9.5, 4.9), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        for axes, right in zip(figure.subplots(1, 2), (1.0, edge), strict=True):
            axes.plot(fpr, tpr, color=_BLUE, linewidth=1.8, drawstyle="default")
            axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1.0, linestyle=":")
            axes.set_xlim(-0.02 * right, right)
            axes.set_ylim(-0.02, 1.02)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.set_xlabel(f"other clips taken for the phrase (FPR){'' if right == 1.0 else f', up to {edge:.0%}'}")
        figure.axes[0].set_ylabel("clips of the phrase found (TPR)")
        figure.axes[0].set_title(title, parse_math=False)
        figure.supxlabel("\n".join(figures), fontsize=9, x=0.01, ha="left", parse_math=False)
        _save(figure, path)


def plot_rates(path: Path, title: str, sections: Mapping[str, Sequence[Rate]], label: str, as_percent: bool) -> None:
    """Draw rates with their intervals, one row each, in sections; what was counted stands at the right.

    Args:
        sections: rows by the name of their section.
        label: of the axis.
        as_percent: whether the rates are shares.
    """
    rows: list[tuple[str, Rate | None]] = []
    for name, rates in sections.items():
        rows += [(name, None), *((rate.label, rate) for rate in rates)]
    with _style():
        figure = Figure(figsize=(8.5, 1.4 + 0.25 * len(rows)), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for place, (_, rate) in enumerate(rows):
            if rate is None:
                axes.axhline(place - 0.5, color=_GREY, linewidth=0.6)
                continue
            low, high = rate.interval
            axes.plot([low, high], [place, place], color=_BLUE, linewidth=1.6, solid_capstyle="butt")
            axes.plot([rate.rate], [place], "o", color=_BLUE, markersize=5.5)
            axes.text(1.01, place, rate.counted, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows], parse_math=False)
        for text, (_, rate) in zip(axes.get_yticklabels(), rows, strict=True):
            text.set_fontweight("bold" if rate is None else "normal")
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        if as_percent:
            axes.set_xlim(-0.01, 1.01)
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        else:
            axes.set_xscale("symlog", linthresh=1.0)
            highest = max((rate.interval[1] for _, rate in rows if rate is not None), default=1.0)
            axes.set_xlim(-0.03, max(1.0, 1.5 * highest))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(label)
        axes.set_title(title, parse_math=False)
        _save(figure, path)


def plot_reliability(path: Path, title: str, versions: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Draw, of clips sorted into bins by their score, which share is the phrase: on the diagonal, were it calibrated.

    Args:
        versions: by label, for each bin `(bins,)`: clips, their mean score, the share that is the phrase.
    """
    with _style():
        figure, (axes, counts) = _figure(2, (7.0, 6.2), (4, 1))
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1.0, linestyle=":", label="calibrated")
        for index, (label, (clips, score, share)) in enumerate(versions.items()):
            colour = _colours(len(versions))[index]
            axes.plot(score, share, "os"[index % 2] + "-", color=colour, markersize=6, linewidth=1.4, label=label)
            counts.plot(score, clips, "os"[index % 2], color=colour, markersize=5)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.03, 1.03)
        axes.set_ylabel("share that is the phrase")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        counts.set_yscale("log")
        counts.set_ylim(bottom=0.7)
        counts.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else ""))
        counts.yaxis.set_minor_locator(NullLocator())
        counts.set_ylabel("clips")
        counts.set_xlabel("mean of the clips' highest scores")
        axes.set_title(title, parse_math=False)
        _legend_below(figure, axes)
        _save(figure, path)


def plot_moments(
    path: Path,
    title: str,
    moments: Sequence[Moment],
    sample_rate: int,
    frame_shift_ms: float,
    threshold: float,
    columns: int = 2,
) -> None:
    """Draw moments of streams side by side: waveform, smoothed score, threshold, events, and keywords truly there."""
    rows = max(1, -(-len(moments) // columns))
    with _style():
        figure = Figure(figsize=(6.6 * columns, 0.9 + 2.5 * rows), dpi=90, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=(2, 3) * rows)
        for axes in grid.flat:
            axes.set_visible(not moments)
        for number, moment in enumerate(moments):
            wave, score = (grid[2 * (number // columns) + part, number % columns] for part in (0, 1))
            _draw_moment(wave, score, moment, sample_rate, frame_shift_ms, threshold)
        figure.suptitle(
            title if moments else f"{title}: there is none", fontsize=11, x=0.01, ha="left", parse_math=False
        )
        if moments:
            handles, labels = grid[1, 0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower left", ncols=6)
        _save(figure, path)


def _draw_moment(
    wave: Axes, score: Axes, moment: Moment, sample_rate: int, frame_shift_ms: float, threshold: float
) -> None:
    end_s = moment.start_s + len(moment.pcm) / sample_rate
    low, high = _envelope(moment.pcm)
    wave.fill_between(np.linspace(moment.start_s, end_s, len(low)), low, high, color=_GREY, linewidth=0.5)
    reach = max(0.02, float(np.abs([low, high]).max(initial=0.0))) * 1.1
    wave.set_ylim(-reach, reach)
    wave.set_yticks([0.0])
    wave.set_ylabel("wave", fontsize=8)
    wave.tick_params(labelbottom=False)
    times = moment.start_s + (np.arange(len(moment.scores)) + 1) * frame_shift_ms / 1000.0
    score.plot(times, moment.scores, color=_BLUE, linewidth=1.2, label="smoothed score")
    score.axhline(threshold, color=_RED, linewidth=1.0, linestyle="--", label=f"threshold {threshold:.3g}")
    for axes in (wave, score):
        axes.set_visible(True)
        axes.set_xlim(moment.start_s, end_s)
        axes.axvspan(moment.start_s, moment.start_s, color=_GREEN, alpha=0.18, linewidth=0, label="keyword (truth)")
        for begin, end in moment.keywords:
            if begin < end_s and end > moment.start_s:
                axes.axvspan(max(begin, moment.start_s), min(end, end_s), color=_GREEN, alpha=0.18, linewidth=0)
    for events, marker, colour, what in (
        (moment.hits, "v", _GREEN, "hit"),
        (moment.false_alarms, "X", _RED, "false alarm"),
    ):
        shown = [time for time in events if moment.start_s <= time <= end_s]
        score.scatter(shown, [1.09] * len(shown), marker=marker, s=45, color=colour, label=what, zorder=5)
        for time in shown:
            score.axvline(time, color=colour, linewidth=0.8, alpha=0.7)
    score.set_ylim(-0.03, 1.2)
    score.set_yticks([0.0, 0.5, 1.0])
    score.set_ylabel("score", fontsize=8)
    score.set_xlabel("time in the stream (s)", fontsize=8)
    wave.set_title(moment.title, fontsize=8.5, parse_math=False)


def _envelope(pcm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest sample, on a scale of 1, in each of at most `_COLUMNS` equal pieces."""
    if not len(pcm):
        return np.zeros(1), np.zeros(1)
    starts = np.unique(np.linspace(0, len(pcm), min(_COLUMNS, len(pcm)), endpoint=False).astype(np.int64))
    return np.minimum.reduceat(pcm, starts) / 32768.0, np.maximum.reduceat(pcm, starts) / 32768.0


def _colours(count: int) -> list[str]:
    return [_LINE_COLOURS[index % len(_LINE_COLOURS)] for index in range(count)]


def _style() -> AbstractContextManager[None]:
    """Return a context in which no setting of the user's changes a picture."""
    own: dict[str, object] = {
        "axes.grid": True,
        "grid.alpha": 0.8,
        "grid.linewidth": 0.7,
        "grid.color": "#dee2e6",
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "font.size": 10,
        "legend.frameon": False,
        "legend.fontsize": 9,
    }
    context: AbstractContextManager[None] = matplotlib.style.context(["default", own])
    return context


def _figure(rows: int, size: tuple[float, float], heights: Sequence[int] = (1,)) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = 6 if figure.get_figwidth() > 10 else (1 if max(map(len, labels)) > 40 else 3)
        figure.legend(handles, labels, loc="outside lower left", ncols=columns)


def _save(figure: Figure, path: Path) -> None:
    with warnings.catch_warnings():
        # A phrase in a script that the font lacks is drawn as boxes, which is no news to anybody.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, format="png", metadata={"Software": None})
