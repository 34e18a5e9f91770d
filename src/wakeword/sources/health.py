"""The report on a corpus: what there is of each label, source and kind, what was left out and why, and what to mend."""

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wakeword.base import files, log
from wakeword.corpus.manifest import LABELS, SAMPLE_RATE, Clip, Label, Rejection, tally
from wakeword.sources.texts import relate

FULL_SCALE = 32768
FEW_POSITIVES = 50
# Typed alone, "athena", of five phonemes, missed 65 % of people at FAH 0.5 where "hey chatterbox", of ten, missed 4 %:
# docs/experiments.md, "Phrases that nothing was tuned on". "snowboy", of five, was no worse than "smart mirror".
FEW_PHONEMES = 6
# People say two phrases within 0.56 and 1.18 s, with medians of 0.70 and 0.84 s, as `EspeakConfig` tells.
_SHORT, _LONG = 0.5, 2.0
SPOKEN = ("positive", "negative", "hard_negative")

_QUANTILES = {"min": 0.0, "p05": 0.05, "p50": 0.5, "p95": 0.95, "max": 1.0}
_COLOURS = dict(zip(LABELS, ("#0072b2", "#e69f00", "#d55e00", "#009e73", "#999999"), strict=True))


@dataclass(frozen=True, slots=True)
class Level:
    """How loud a clip is, in dB below full scale, and how many of its samples stand at full scale."""

    peak_dbfs: float
    rms_dbfs: float
    full_scale: int


@dataclass
class Summary:
    """What ingest met, in order. `duplicates` holds (what was left out, what it repeats)."""

    rejected: list[Rejection] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)

    def add(self, clip: Clip, pcm: np.ndarray) -> None:
        """Take note of a clip and its samples, `(samples,)` int16."""
        self.clips.append(clip)
        self.levels.append(level(pcm))

    def say_rejected(self) -> None:
        """Log one line about all that was rejected."""
        if self.rejected:
            shown = "; ".join(f"{item.path}: {item.reason}" for item in self.rejected[:3])
            more = f"; and {len(self.rejected) - 3} more" if len(self.rejected) > 3 else ""
            log.warning(f"rejected {len(self.rejected)} (all are listed in the report): {shown}{more}")

    def all_warnings(self, phrases: list[str]) -> list[str]:
        """Return what a person should know about this corpus, each with its remedy."""
        return [*self.warnings, *_warnings(self, phrases)]


def peak(pcm: np.ndarray) -> int:
    """Return the largest magnitude in `(samples,)` int16; 0 for an empty array."""
    return max(int(pcm.max()), -int(pcm.min())) if len(pcm) else 0


def decibels(amplitude: float) -> float:
    """Return an int16 amplitude in dB below full scale, never less than -120."""
    return 20 * math.log10(max(amplitude / FULL_SCALE, 1e-6))


def level(pcm: np.ndarray) -> Level:
    """Measure `(samples,)` int16."""
    power = float(np.mean(np.square(pcm, dtype=np.float64))) if len(pcm) else 0.0
    full_scale = int(np.count_nonzero((pcm == 32767) | (pcm == -32768)))
    return Level(decibels(peak(pcm)), decibels(math.sqrt(power)), full_scale)


def write(folder: Path, summary: Summary, phrases: list[str]) -> None:
    """Write metrics.json and health.png."""
    with files.replacing_folder(folder) as temporary:
        files.write_json(temporary / "metrics.json", metrics(summary, phrases))
        _plot(temporary / "health.png", summary)


def metrics(summary: Summary, phrases: list[str]) -> dict[str, Any]:
    """Return the report as JSON-like values."""
    clips = summary.clips
    return {
        "total": tally(clips),
        "label": {
            label: _label_metrics([(clip, level) for clip, level in _paired(summary) if clip.origin.label == label])
            for label in _present(clips)
        },
        "phrase": {phrase: tally(clip for clip in clips if clip.origin.phrase == phrase) for phrase in phrases},
        "source": _by(clips, lambda clip: clip.origin.source),
        "kind": _by(clips, lambda clip: clip.origin.kind),
        "licence": _by(clips, lambda clip: clip.origin.licence),
        "origin_rate": {str(rate): count for rate, count in Counter(clip.origin_rate for clip in clips).items()},
        "rejected_count": len(summary.rejected),
        "rejected": [{"path": item.path, "reason": item.reason} for item in summary.rejected],
        "duplicates_count": len(summary.duplicates),
        "duplicates": [{"path": path, "repeats": first} for path, first in summary.duplicates],
        "warnings": summary.all_warnings(phrases),
    }


def _by(clips: list[Clip], key: Callable[[Clip], str]) -> dict[str, dict[str, Any]]:
    """Return a tally for each value of `key` and label."""
    sorted_in: dict[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        sorted_in[key(clip)][clip.origin.label].append(clip)
    return {name: {label: tally(some) for label, some in labels.items()} for name, labels in sorted_in.items()}


def _present(clips: list[Clip]) -> list[Label]:
    present = {clip.origin.label for clip in clips}
    return [label for label in LABELS if label in present]


def _paired(summary: Summary) -> Iterable[tuple[Clip, Level]]:
    return zip(summary.clips, summary.levels, strict=True)


def _label_metrics(rows: list[tuple[Clip, Level]]) -> dict[str, Any]:
    clips = [clip for clip, _ in rows]
    return tally(clips) | {
        "clips_of_unknown_group": sum(not clip.origin.group_known for clip in clips),
        "seconds": _quantiles([clip.seconds for clip in clips]),
        "active_seconds": _quantiles([(clip.active_end - clip.active_start) / SAMPLE_RATE for clip in clips]),
        "peak_dbfs": _quantiles([level.peak_dbfs for _, level in rows]),
        "rms_dbfs": _quantiles([level.rms_dbfs for _, level in rows]),
        "clips_at_full_scale": sum(level.full_scale > 0 for _, level in rows),
        "samples_at_full_scale": sum(level.full_scale for _, level in rows),
    }


def _quantiles(values: list[float]) -> dict[str, float]:
    return {name: float(np.quantile(values, share)) for name, share in _QUANTILES.items()}


def _warnings(summary: Summary, phrases: list[str]) -> list[str]:
    clips = summary.clips
    found = []
    spoken = [clip for clip in clips if clip.origin.label in SPOKEN]
    unknown = sum(not clip.origin.group_known for clip in spoken)
    if unknown:
        found.append(
            f"it is unknown who speaks in {unknown} of {len(spoken)} clips, so that one person may be in train and in "
            "test, and test figures may flatter; name speakers with subfolders speaker=NAME or a metadata.csv with "
            "path,speaker"
        )
    for phrase in phrases:
        relation, other = relate(phrase, [one for one in phrases if one != phrase])
        if relation in ("is", "holds"):
            found.append(
                f"who says '{phrase}' says '{other}' too, so that each is taught as a mistake of the other; train a "
                "model for each"
            )
        count = sum(clip.origin.phrase == phrase for clip in clips)
        if count < FEW_POSITIVES:
            noun = "clip" if count == 1 else "clips"
            found.append(
                f"there {'is' if count == 1 else 'are'} only {count} positive {noun} of '{phrase}'; record more "
                "people, or add ingest.synthesis"
            )
        found += _few_phonemes(phrase, [clip for clip in clips if clip.origin.phrase == phrase])
        found += _odd_lengths(phrase, [clip for clip in clips if clip.origin.phrase == phrase])
    labels = {clip.origin.label for clip in clips}
    if not labels & {"negative", "hard_negative"}:
        found.append("there is no negative clip; add recordings of other speech (negative/), or ingest.synthesis")
    found += _shared_sources(spoken)
    for label in _present(clips):
        rows = [level for clip, level in _paired(summary) if clip.origin.label == label and label != "rir"]
        clipped = sum(level.full_scale > 3 for level in rows)
        if clipped > 0.05 * len(rows):
            found.append(
                f"{clipped} of {len(rows)} {label} clips are clipped (samples at full scale); record with less gain"
            )
    positives = [clip for clip in clips if clip.origin.label == "positive"]
    narrow = sum(clip.origin_rate < SAMPLE_RATE for clip in positives)
    if narrow > 0.5 * len(positives):
        found.append(
            f"{narrow} of {len(positives)} positive clips were recorded below 16 kHz and lack high frequencies, by "
            "which a net may know them; record at 16 kHz or more"
        )
    return found


def _few_phonemes(phrase: str, clips: list[Clip]) -> list[str]:
    """Warn of a phrase that is soon said: much else sounds like it."""
    said = next((clip.origin.phonemes.split() for clip in clips if clip.origin.phonemes), None)
    if said is None or len(said) >= FEW_PHONEMES:
        return []
    noun = "phoneme" if len(said) == 1 else "phonemes"
    return [
        f"'{phrase}' has only {len(said)} {noun} ({' '.join(said)}), so that much else sounds like it; take a longer "
        "phrase, such as one more word before it, or record people who say it"
    ]


def _odd_lengths(phrase: str, clips: list[Clip]) -> list[str]:
    """Warn of recordings in which the phrase takes far less or more time than usual in its clips, synthetic or not."""
    seconds = [(clip.active_end - clip.active_start) / SAMPLE_RATE for clip in clips]
    usual = float(np.median(seconds)) if seconds else 0.0
    odd = [
        (clip.origin.path, length)
        for clip, length in zip(clips, seconds, strict=True)
        if not clip.synthetic and not _SHORT * usual <= length <= _LONG * usual
    ]
    if not odd:
        return []
    shown = ", ".join(f"{path} {length:.2f} s" for path, length in odd[:5]) + (" and more" if len(odd) > 5 else "")
    noun = "recording" if len(odd) == 1 else "recordings"
    return [
        f"in {len(odd)} {noun} of '{phrase}' the speech is far shorter or longer than the median of its clips, "
        f"{usual:.2f} s ({shown}); listen whether the phrase is cut off or not alone, and cut or remove what is wrong"
    ]


def _shared_sources(spoken: list[Clip]) -> list[str]:
    """Warn where recorded positives share their source with no negative: a net may learn the source instead."""
    recorded = [clip for clip in spoken if not clip.synthetic]
    positive = {clip.origin.source for clip in recorded if clip.origin.label == "positive"}
    other = {clip.origin.source for clip in recorded if clip.origin.label != "positive"}
    if not positive or positive & other or all(clip.origin.label == "positive" for clip in spoken):
        return []
    if not other:
        return [
            f"all {len(recorded)} recordings of people say the phrase, and synthetic voices everything else, so that a "
            "net may learn that people always say it; add recordings of other speech (negative/), best of all other "
            "words by the same people and microphones"
        ]
    return [
        f"recorded positives ({', '.join(sorted(positive))}) and recorded negatives ({', '.join(sorted(other))}) come "
        "from different sources, and a net may learn the source; add other words by the same people and microphones"
    ]


def _plot(path: Path, summary: Summary) -> None:
    # Slow to load, and worker processes, which import this module with the stage, never plot.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 9), dpi=80, layout="constrained")
    axes = figure.subplots(2, 3)
    _plot_hours(axes[0, 0], summary.clips)
    by_label = {
        label: [(clip, level) for clip, level in _paired(summary) if clip.origin.label == label]
        for label in _present(summary.clips)
    }
    histograms: list[tuple[Any, str, Callable[[Clip, Level], float], tuple[float, float]]] = [
        (axes[0, 1], "duration, s", lambda clip, _: clip.seconds, (0, 30)),
        (axes[0, 2], "RMS level, dBFS", lambda _, level: level.rms_dbfs, (-90, 0)),
        (axes[1, 0], "peak level, dBFS", lambda _, level: level.peak_dbfs, (-90, 0)),
    ]
    for axis, title, value, span in histograms:
        for label, rows in by_label.items():
            if label == "rir" and "level" in title:
                continue  # scaled on reading
            values = np.clip([value(clip, level) for clip, level in rows], *span)
            weights = np.full(len(values), 100 / len(values))
            axis.hist(values, bins=45, range=span, weights=weights, histtype="step", color=_COLOURS[label], label=label)
        axis.set(xlabel=title, ylabel="% of the label's clips")
        axis.legend(fontsize=8)
    _plot_active(axes[1, 1], summary.clips)
    _plot_rates(axes[1, 2], summary.clips)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # names may be in any script; a box stands for a letter
        FigureCanvasAgg(figure)
        figure.savefig(path, format="png")


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("$", r"\$") if "$" in text else text


def _plot_hours(axis: Any, clips: list[Clip]) -> None:
    hours: Counter[tuple[Label, str]] = Counter()
    for clip in clips:
        hours[clip.origin.label, clip.origin.source] += clip.samples
    shown = hours.most_common(16)[::-1]
    axis.barh(
        [f"{label}: {_literal(source[:30])}" for (label, source), _ in shown],
        [samples / SAMPLE_RATE / 60 for _, samples in shown],
        color=[_COLOURS[label] for (label, _), _ in shown],
    )
    axis.set_xlabel("minutes, by label and source")
    axis.tick_params(axis="y", labelsize=8)


def _plot_active(axis: Any, clips: list[Clip]) -> None:
    durations: dict[str, list[float]] = defaultdict(list)
    for clip in clips:
        if clip.origin.phrase is not None:
            durations[clip.origin.phrase].append((clip.active_end - clip.active_start) / SAMPLE_RATE)
    for phrase, values in sorted(durations.items()):
        kept = np.clip(values, 0, 3)
        label = f"'{_literal(phrase)}' ({len(values)})"
        axis.hist(
            kept, bins=40, range=(0, 3), weights=np.full(len(kept), 100 / len(kept)), histtype="step", label=label
        )
    axis.set(xlabel="active part of positives, s", ylabel="% of the phrase's clips")
    axis.legend(fontsize=8)


def _plot_rates(axis: Any, clips: list[Clip]) -> None:
    counts = sorted(Counter(clip.origin_rate for clip in clips).items())
    axis.bar([f"{rate / 1000:g}" for rate, _ in counts], [count for _, count in counts], color="#666666")
    axis.set(xlabel="sample rate of the files, kHz", ylabel="clips")
