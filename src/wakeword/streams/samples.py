"""What the acoustics of training sound like: a page of spectrograms and a sheet of clips to listen to.

Every variant is a stream plan with one thing changed, made by the very code that makes the training streams.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.signal import spectrogram

from wakeword.corpus.manifest import SAMPLE_RATE, Clip
from wakeword.corpus.shards import Corpus
from wakeword.streams.assembly import Background, Placement, Room, StreamPlan, render
from wakeword.streams.config import AugmentConfig
from wakeword.streams.device import Device
from wakeword.streams.noise import MADE_UP, MadeUp
from wakeword.streams.rooms import draw_box

FIGURE = "augmentation.png"
SHEET = "index.html"

_LEVEL_DBFS = -24.0
_LEAD_S, _TAIL_S = 0.3, 0.7
_LONGEST_S = 3.0
_STREAMS = 6
_STREAM_S = 12.0
_MADE_UP_SNR_DB = (20, 15, 10, 5, 5)
_COLUMNS = 4
_STEP_DB = 4.0  # the page is committed, and noise in finer steps does not compress


@dataclass(frozen=True, slots=True)
class Variant:
    """A clip under one effect: what was done, in words, and the plan that does it."""

    done: str
    plan: StreamPlan


def write_samples(
    folder: Path, corpus: Corpus, clips: Sequence[Clip], training: Sequence[StreamPlan], augment: AugmentConfig
) -> None:
    """Fill an empty folder with augmentation.png, index.html and the clips that it plays.

    Args:
        folder: it.
        corpus: where the clips are.
        clips: the training split, every label.
        training: the training streams, some of which are sampled.
        augment: the ranges that the effects are shown at the ends of.
    """
    shown = [clip for label in ("positive", "negative") if (clip := _example(clips, label)) is not None]
    sections = []
    for clip in shown:
        played = [(variant.done, render(variant.plan, corpus)) for variant in variants(clip, clips, augment)]
        if clip is shown[0]:
            _plot(folder / FIGURE, _named(clip), played)
        sections.append((_named(clip), played))
    some = training[:: -(-len(training) // _STREAMS)]
    heard = [(_described(plan), render(plan, corpus)[: round(_STREAM_S * SAMPLE_RATE)]) for plan in some]
    sections.append(("The beginning of some training streams", heard))
    _write_sheet(folder, sections)


def _example(clips: Sequence[Clip], label: str) -> Clip | None:
    """Return a clip of the label, a recording where there is one; always the same, whatever else there is."""
    fitting = [clip for clip in clips if clip.origin.label == label and clip.seconds <= _LONGEST_S]
    fitting = fitting or [clip for clip in clips if clip.origin.label == label]
    return min(fitting, key=lambda clip: (clip.synthetic, clip.id), default=None)


def _named(clip: Clip) -> str:
    return f"“{clip.origin.text or clip.origin.kind}” ({clip.origin.source})"


def variants(clip: Clip, clips: Sequence[Clip], augment: AugmentConfig) -> list[Variant]:
    """Return the clip dry, and under each effect alone; what needs recordings that there are none of is left out."""
    samples = round((_LEAD_S + clip.seconds + _TAIL_S) * SAMPLE_RATE)
    at = round(_LEAD_S * SAMPLE_RATE)
    dry = StreamPlan("sample", "sample", samples, (Placement(clip, at, _LEVEL_DBFS),), None, None, 0.0, (0,))
    noises = sorted((c for c in clips if c.origin.label == "noise"), key=lambda c: c.id)[:1]
    rirs = sorted((c for c in clips if c.origin.label == "rir"), key=lambda c: c.id)[:1]
    voices = tuple(sorted((c for c in clips if c.origin.label == "negative"), key=lambda c: c.id)[:6])
    short, long = augment.t60_s
    room_rng = np.random.default_rng(0)
    quiet, loud = augment.level_dbfs
    low, high = augment.band_low_hz[1], augment.band_high_hz[0]

    def background(snr: float, recordings: tuple[Clip, ...], kind: MadeUp = "noise") -> StreamPlan:
        return replace(dry, background=Background(recordings, voices, _LEVEL_DBFS - snr, kind))

    return [
        Variant("dry", dry),
        Variant(f"gain: speech at {quiet:g} dBFS", _at_level(dry, quiet)),
        Variant(f"gain: speech at {loud:g} dBFS", _at_level(dry, loud)),
        *(Variant(f"recorded noise, SNR {snr} dB", background(snr, tuple(noises))) for snr in (20, 5) if noises),
        *(
            Variant(f"made-up {kind}, SNR {snr} dB", background(snr, (), kind))
            for kind, snr in zip(MADE_UP, _MADE_UP_SNR_DB, strict=True)
        ),
        *(Variant("measured room", replace(dry, room=Room(rir, 0.0, 0.0))) for rir in rirs),
        Variant(f"room of decaying noise, {long:g} s", replace(dry, room=Room(None, long, 5.0))),
        *(
            Variant(
                f"box by image sources, {t60:g} s", replace(dry, room=Room(None, t60, 0.0, draw_box(t60, room_rng)))
            )
            for t60 in (short, long)
        ),
        *(
            Variant(f"microphone that tilts by {tilt:+g} dB", replace(dry, tilt_db=tilt))
            for tilt in (-augment.tilt_db, augment.tilt_db)
        ),
        Variant(f"band {low:g} to {high:g} Hz", replace(dry, device=Device(band_hz=(low, high, 48)))),
        Variant("telephone, µ-law at 8 kHz", replace(dry, device=Device(codec_kbps=0))),
        Variant("MP3 at 16 kbit/s", replace(dry, device=Device(codec_kbps=16))),
        Variant(f"clock {augment.skew_ppm:g} ppm slow", replace(dry, device=Device(skew=augment.skew_ppm / 1e6))),
    ]


def _at_level(plan: StreamPlan, level: float) -> StreamPlan:
    return replace(plan, placements=tuple(replace(placed, level_dbfs=level) for placed in plan.placements))


def _described(plan: StreamPlan) -> str:
    """Return in words what a training stream went through."""
    parts = [plan.name]
    if plan.background is not None:
        parts.append("recorded noise" if plan.background.recordings else f"made-up {plan.background.made_up}")
    if plan.room is not None:
        parts.append("measured room" if plan.room.measured else "box" if plan.room.box else "room of decaying noise")
    parts.append(f"tilt {plan.tilt_db:+.1f} dB")
    if (band := plan.device.band_hz) is not None:
        parts.append(f"band {band[0]:.0f} to {band[1]:.0f} Hz")
    if (kbps := plan.device.codec_kbps) is not None:
        parts.append(f"MP3 at {kbps} kbit/s" if kbps else "telephone")
    if plan.device.skew:
        parts.append(f"clock {plan.device.skew * 1e6:+.0f} ppm")
    return ", ".join(parts)


def _write_sheet(folder: Path, sections: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]]) -> None:
    rows = []
    number = 0
    for title, played in sections:
        rows.append(f"<h2>{html.escape(title)}</h2>\n<table>")
        for done, pcm in played:
            name = f"{number:02d}.wav"
            number += 1
            with (folder / name).open("wb") as file:
                soundfile.write(file, pcm, SAMPLE_RATE, format="WAV", subtype="PCM_16")
            rows.append(
                f'<tr><td>{html.escape(done)}</td><td><audio controls preload="none" src="{name}" '
                f'aria-label="{html.escape(done)}"></audio></td></tr>'
            )
        rows.append("</table>")
    page = "\n".join(rows)
    (folder / SHEET).write_text(_PAGE.format(page=page, figure=FIGURE), encoding="utf-8")


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>What training sounds like</title>
<style>body {{ font-family: sans-serif; margin: 2em }} td {{ padding: 0 1em 0 0 }} img {{ max-width: 100% }}</style>
<h1>What training sounds like</h1>
<p>Each clip is made by the code that makes the training streams, with one thing changed at a time.</p>
<img src="{figure}" alt="Spectrograms of the first clip under each effect">
{page}
</html>
"""


def _plot(path: Path, title: str, played: Sequence[tuple[str, np.ndarray]]) -> None:
    # Slow to load, and worker processes, which import this module with the stage, never plot.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(played) // _COLUMNS)
    figure = Figure(figsize=(3.4 * _COLUMNS, 1.9 * rows), dpi=60, layout="constrained")
    axes = list(figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).flat)
    image: Any = None
    for axis, (done, pcm) in zip(axes, played, strict=False):
        frequencies, times, power = spectrogram(pcm / 32768, SAMPLE_RATE, nperseg=400, noverlap=240)
        level = _STEP_DB * np.round(10 * np.log10(power + 1e-14) / _STEP_DB)
        extent = (0.0, times[-1], 0.0, frequencies[-1] / 1000)
        image = axis.imshow(
            level, origin="lower", aspect="auto", extent=extent, vmin=-120, vmax=-40, interpolation="nearest"
        )
        axis.set_title(done, fontsize=9)
    for axis in axes[len(played) :]:
        axis.set_visible(False)
    figure.colorbar(image, ax=axes, label="dB, power per Hz", shrink=0.5)
    figure.supxlabel("s")
    figure.supylabel("kHz")
    figure.suptitle(title.replace("$", r"\$"), fontsize=11)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")
