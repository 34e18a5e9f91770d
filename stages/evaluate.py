"""Choose the operating point on dev and report it on test, through the very graph that ships: `data/reports/evaluate/`.

Audio goes in as PCM and is scored by the exported graph in onnxruntime, as on a device.
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from wakeword import workers
from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import replacing_folder, write_json
from wakeword.base.params import Phrases, Section, load
from wakeword.base.stage import main
from wakeword.corpus.manifest import SAMPLE_RATE, Clip
from wakeword.corpus.shards import Corpus
from wakeword.corpus.splits import judged_by, read_splits
from wakeword.detection.policy import Policy, detect, smooth
from wakeword.evaluation import operating_point
from wakeword.evaluation.config import EvaluateConfig
from wakeword.evaluation.intervals import Interval, proportion
from wakeword.evaluation.judging import (
    report_curve,
    report_policy,
    scored_streams,
    timed_events,
)
from wakeword.evaluation.metrics import DetCurve, Keyword, clip_figures, det_curve
from wakeword.evaluation.operating_point import OperatingPoint
from wakeword.evaluation.plots import DetLine, DetPoint, plot_det, plot_latency, plot_score_histogram, plot_timeline
from wakeword.evaluation.scoring import score_audio
from wakeword.export.graph import build
from wakeword.features.store import Stream, StreamSet
from wakeword.models.checkpoint import load as load_model
from wakeword.runtime_config import RuntimeConfig

MODEL, FEATURES, CORPUS, SPLIT = (
    Path("models/best_model.pt"),
    Path("data/npy"),
    Path("data/corpus"),
    Path("data/splits"),
)
OPERATING_POINT, REPORT = Path("models/operating_point.json"), Path("data/reports/evaluate")
TIMELINE_S = 30.0


class Params(Section):
    phrases: Phrases
    evaluate: EvaluateConfig = EvaluateConfig()
    runtime: RuntimeConfig = RuntimeConfig()


def run() -> None:
    params = load(Params)
    config = params.evaluate
    model = load_model(MODEL)
    if model.phrases != params.phrases:
        raise UserError(f"{MODEL} knows {model.phrases}, but phrases is {params.phrases}; run `dvc repro train`")
    graph, shift = build(model), model.network.frame_shift_ms
    count = workers.count(params.runtime.workers)
    dev, test = (StreamSet.open(FEATURES, split, model.frontend.fingerprint) for split in ("dev", "test"))
    dev_scores = score(graph, dev, "dev", count)
    points = {
        phrase: operating_point.choose(phrase, scored_streams(dev.streams, dev_scores, index), config, shift)
        for index, phrase in enumerate(params.phrases)
    }
    test_scores = score(graph, test, "test", count)
    clips = test_clips()
    clip_scores = score_clips(graph, clips, count)
    report: dict[str, Any] = {}
    with replacing_folder(REPORT) as folder:
        for index, phrase in enumerate(params.phrases):
            stem = "" if len(params.phrases) == 1 else f"{index}_"
            shape = points[phrase].policy
            template = Policy(
                1.0, config.release_ratio, shape.smoothing_frames, shape.votes, shape.votes_window, shape.refractory_ms
            )
            curves = {
                name: det_curve(
                    scored_streams(streams, scores, index),
                    template,
                    shift,
                    config.tolerance_ms,
                    config.max_fah,
                )
                for name, streams, scores in (("dev", dev.streams, dev_scores), ("test", test.streams, test_scores))
            }
            on_dev = report_policy(dev.streams, dev_scores, index, points[phrase].policy, shift, config.tolerance_ms)
            points[phrase] = replace(points[phrase], dev=on_dev)
            at_point = report_policy(
                test.streams, test_scores, index, points[phrase].policy, shift, config.tolerance_ms
            )
            said = [clip.origin.phrase == phrase for clip in clips]
            is_keyword = np.array(said)
            highest = np.array([scores[:, index].max() for scores in clip_scores])
            report[phrase] = {
                "operating_point": {**asdict(points[phrase]), "test": at_point},
                "frr_at_fah": report_curve(curves["test"], template, test.streams, test_scores, index, shift, config),
                "clips": asdict(clip_figures(highest[is_keyword], highest[~is_keyword])),
                "clips_fired": fired_by_kind(
                    clips, [scores[:, index] for scores in clip_scores], points[phrase].policy, shift
                ),
            }
            draw(folder, stem, phrase, points[phrase], curves, at_point, test, test_scores, index, shift, config)
            plot_score_histogram(
                folder / f"{stem}clip_scores.png",
                f"“{phrase}”: test clips scored alone",
                highest[is_keyword],
                highest[~is_keyword],
                score_label="highest score of the clip",
            )
            write_curve(folder / f"{stem}det.csv", curves["test"])
            frr, interval, fah = at_point["frr"], at_point["frr_interval"], at_point["fah"]
            log.info(
                f"'{phrase}' on test at the operating point",
                frr=f"{frr:.1%} [{interval[0]:.1%}, {interval[1]:.1%}]",
                fah=f"{fah:.2f} [{at_point['fah_interval'][0]:.2f}, {at_point['fah_interval'][1]:.2f}]",
                hours=round(at_point["hours"], 2),
            )
        write_json(folder / "metrics.json", report)
    operating_point.write(OPERATING_POINT, points)


def score(graph: bytes, streams: StreamSet, what: str, count: int) -> list[np.ndarray]:
    """Return the scores `(frames, phrases)` of each stream, from its PCM through the graph in onnxruntime."""
    audio = (np.array(streams.audio(stream)) for stream in streams.streams)
    return list(log.progress(score_audio(graph, audio, count), len(streams.streams), f"{what} streams"))


def test_clips() -> list[Clip]:
    """Return the test clips in which somebody or something is heard."""
    ids = set(read_splits(SPLIT)["test"])
    clips = [clip for clip in Corpus.open(CORPUS).clips if clip.id in ids]
    return [clip for clip in judged_by(clips) if clip.origin.label not in ("noise", "rir")]


def score_clips(graph: bytes, clips: Sequence[Clip], count: int) -> list[np.ndarray]:
    """Return the scores `(frames, phrases)` of each clip: alone, in silence, half a second of it at the end."""
    corpus = Corpus.open(CORPUS)
    tail = np.zeros(SAMPLE_RATE // 2, dtype=np.int16)
    audio = (np.concatenate([corpus.audio(clip), tail]) for clip in clips)
    return list(log.progress(score_audio(graph, audio, count), len(clips), "test clips"))


def fired_by_kind(
    clips: Sequence[Clip], scores: Sequence[np.ndarray], policy: Policy, frame_shift_ms: int
) -> dict[str, dict[str, Any]]:
    """Return, for each kind of clip, how many set the detector off when heard alone.

    Streams hold few of the clips that sound like the phrase; here each counts once.
    """
    fired: dict[str, list[bool]] = {}
    for clip, clip_scores in zip(clips, scores, strict=True):
        fired.setdefault(clip.origin.kind, []).append(bool(detect(clip_scores, policy, frame_shift_ms)))
    return {
        kind: {
            "clips": len(each),
            "fired": sum(each),
            "share": sum(each) / len(each),
            "share_interval": list(proportion(sum(each), len(each))),
        }
        for kind, each in sorted(fired.items())
    }


def _hit_keywords(keywords: Sequence[Keyword], missed: Sequence[int]) -> list[Keyword]:
    return [keyword for index, keyword in enumerate(keywords) if index not in missed]


def write_curve(path: Path, curve: DetCurve) -> None:
    """Write the DET curve for `dvc plots`."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["fah", "frr", "threshold"])
        for fah, frr, threshold in zip(curve.fah, curve.frr, curve.threshold, strict=True):
            rows.writerow([f"{fah:.6g}", f"{frr:.6g}", f"{threshold:.6g}"])


def draw(
    folder: Path,
    stem: str,
    phrase: str,
    point: OperatingPoint,
    curves: dict[str, DetCurve],
    at_point: dict[str, Any],
    test: StreamSet,
    scores: Sequence[np.ndarray],
    index: int,
    frame_shift_ms: int,
    config: EvaluateConfig,
) -> None:
    """Draw the DET curves, the latency of hits, and the most telling half minute of the test streams."""
    lines = [DetLine(name, curve.fah, curve.frr, curve.keywords, curve.hours) for name, curve in sorted(curves.items())]
    marked = DetPoint(
        "test",
        at_point["fah"],
        Interval(*at_point["fah_interval"]),
        at_point["frr"],
        Interval(*at_point["frr_interval"]),
    )
    plot_det(folder / f"{stem}det.png", f"“{phrase}”: misses against false alarms", lines, [marked])
    pairs = scored_streams(test.streams, scores, index)
    events = [timed_events(pair, point.policy, frame_shift_ms, config.tolerance_ms) for pair in pairs]
    late = [
        time - keyword.end_s
        for pair, (hits, _, missed) in zip(pairs, events, strict=True)
        for time, keyword in zip(hits, _hit_keywords(pair.keywords, missed), strict=True)
    ]
    plot_latency(folder / f"{stem}latency.png", f"“{phrase}”: latency on test", np.array(late))
    stream, centre = telling_moment(test.streams, pairs, events)
    first = int(max(0.0, min(centre - TIMELINE_S / 2, stream.seconds - TIMELINE_S)) * 1000 / frame_shift_ms)
    frames = int(TIMELINE_S * 1000 / frame_shift_ms)
    per_frame = SAMPLE_RATE * frame_shift_ms // 1000
    number = test.streams.index(stream)
    smoothed = smooth(pairs[number].scores, point.policy.smoothing_frames)
    plot_timeline(
        folder / f"{stem}timeline.png",
        f"“{phrase}”: {stream.name}",
        test.audio(stream)[first * per_frame : (first + frames) * per_frame],
        SAMPLE_RATE,
        smoothed[first : first + frames],
        frame_shift_ms,
        point.policy.threshold,
        point.policy.release,
        events[number][0],
        events[number][1],
        pairs[number].keywords,
        first * frame_shift_ms / 1000,
    )


def telling_moment(streams: Sequence[Stream], pairs: Sequence[Any], events: Sequence[Any]) -> tuple[Stream, float]:
    """Return the stream and the second of the first false alarm, else of the first miss, else of the first keyword."""
    for stream, (_, false_alarms, _) in zip(streams, events, strict=True):
        if false_alarms:
            return stream, false_alarms[0]
    for stream, pair, (_, _, missed) in zip(streams, pairs, events, strict=True):
        if missed:
            return stream, pair.keywords[missed[0]].end_s
    return streams[0], pairs[0].keywords[0].end_s if pairs[0].keywords else 0.0


if __name__ == "__main__":
    main("evaluate", run)
