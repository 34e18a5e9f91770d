"""Choose the operating point on dev and report it on test, through the very graph that ships: `data/reports/evaluate/`.

Audio goes in as PCM and is scored by the exported graph in onnxruntime, as on a device. The worst mistakes are cut out
to listen to: `data/errors/index.html`.

With `--model FILE.onnx` it examines any exported file at the operating point in it instead, prints the figures, and
writes nothing but what `--out FOLDER` asks for.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
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
from wakeword.corpus.splits import SplitName, judged_by, read_splits
from wakeword.evaluation import operating_point
from wakeword.evaluation.config import EvaluateConfig
from wakeword.evaluation.drawing import draw, worst_mistakes
from wakeword.evaluation.errors import Mistake, write_sheet
from wakeword.evaluation.examination import Examined, Material, Setting, curve_of, examine
from wakeword.evaluation.judging import report_policy, scored_streams
from wakeword.evaluation.metrics import DetCurve
from wakeword.evaluation.outcomes import sound_fingerprint, write_outcomes
from wakeword.evaluation.scoring import score_audio, score_streams
from wakeword.evaluation.slices import Surroundings
from wakeword.evaluation.summary import rates, summary, summary_of_which
from wakeword.evaluation.which_phrase import KEY, gather, report_which_phrase, seconds_of_noise, usual_number
from wakeword.export.graph import build
from wakeword.features.store import StreamSet
from wakeword.models.checkpoint import load as load_model
from wakeword.runtime.scorer import Scorer
from wakeword.runtime_config import RuntimeConfig
from wakeword.streams.config import StreamsConfig

MODEL, FEATURES, CORPUS, SPLIT = (
    Path("models/best_model.pt"),
    Path("data/npy"),
    Path("data/corpus"),
    Path("data/splits"),
)
OPERATING_POINT, REPORT = Path("models/operating_point.json"), Path("data/reports/evaluate")
OUTCOMES = "outcomes.csv"
ERRORS = Path("data/errors")
CUTS = 40  # mistakes cut out, of all phrases together


class Params(Section):
    phrases: Phrases
    streams: StreamsConfig = StreamsConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    runtime: RuntimeConfig = RuntimeConfig()


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, metavar="FILE.onnx", help="an exported file to examine instead")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="with --model: write the whole report there, a folder of its own"
    )
    arguments = parser.parse_args()
    if arguments.out is not None and arguments.model is None:
        parser.error("--out goes with --model")
    if arguments.model is None:
        evaluate(load(Params))
    else:
        examine_file(load(Params), arguments.model, arguments.out)


def evaluate(params: Params) -> None:
    """Do what the stage is for."""
    model, config = load_model(MODEL), params.evaluate
    if model.phrases != params.phrases:
        raise UserError(f"{MODEL} knows {model.phrases}, but phrases is {params.phrases}; run `dvc repro train`")
    graph, frontend = build(model), model.frontend.fingerprint
    setting = setting_of(params, model.network.frame_shift_ms)
    dev = material(graph, "dev", params, frontend)
    shift = setting.frame_shift_ms
    points = {
        phrase: operating_point.choose(phrase, scored_streams(dev.streams.streams, dev.scores, index), config, shift)
        for index, phrase in enumerate(params.phrases)
    }
    test = material(graph, "test", params, frontend)
    policies = {phrase: point.policy for phrase, point in points.items()}
    examined = {
        phrase: examine(phrase, index, policies[phrase], test, dev, setting)
        for index, phrase in enumerate(params.phrases)
    }
    for phrase, each in examined.items():
        on_dev = report_policy(dev.streams.streams, dev.scores, each.index, each.policy, shift, config.tolerance_ms)
        points[phrase] = replace(points[phrase], dev=on_dev)
        tell(each)
    which = which_phrase(graph, dev, test, params)
    with replacing_folder(REPORT) as folder, replacing_folder(ERRORS) as errors:
        curves = [{"dev": curve_of(dev, each.index, each.policy, setting)} for each in examined.values()]
        publish(
            folder,
            errors,
            examined,
            {phrase: asdict(point) for phrase, point in points.items()},
            test,
            setting,
            curves,
            which,
        )
    operating_point.write(OPERATING_POINT, points)


def examine_file(params: Params, path: Path, out: Path | None) -> None:
    """Examine an exported file on the test streams, and print what was found.

    Raises:
        UserError: the file can't be examined, or `out` holds something else than an earlier report of this.
    """
    if out is not None and out.resolve() == REPORT.resolve():
        raise UserError(f"{out} is what `dvc repro evaluate` writes; name another folder for --out")
    if out is not None and out.exists() and not (out / OUTCOMES).exists() and not empty(out):
        raise UserError(f"{out} holds something else, and the report would take its place; name a new folder for --out")
    try:
        info = Scorer(path).info
        graph = path.read_bytes()
    except (OSError, ValueError) as problem:
        raise UserError(str(problem)) from problem
    if list(info.phrases) != params.phrases:
        raise UserError(f"{path} knows {list(info.phrases)}, but the test streams are of {params.phrases}")
    if missing := [phrase for phrase in info.phrases if phrase not in info.policies]:
        raise UserError(f"{path} holds no operating point for '{missing[0]}'; run the export stage")
    setting = setting_of(params, info.frame_shift_ms)
    dev, test = (material(graph, split, params, None, with_streams=split == "test") for split in ("dev", "test"))
    examined = {
        phrase: examine(phrase, index, info.policies[phrase], test, dev, setting)
        for index, phrase in enumerate(info.phrases)
    }
    for each in examined.values():
        print(summary(each))
    which = which_phrase(graph, dev, test, params)
    for one in which.values():
        print(summary_of_which(one))
    if out is not None:
        chosen = {phrase: {"policy": asdict(info.policies[phrase])} for phrase in info.phrases}
        with replacing_folder(out.resolve()) as folder:
            (folder / "errors").mkdir()
            publish(folder, folder / "errors", examined, chosen, test, setting, [{}] * len(examined), which)


def empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def setting_of(params: Params, frame_shift_ms: float) -> Setting:
    surroundings = {each.name: Surroundings(each.snr_db, each.reverb) for each in params.streams.conditions}
    corpus = {clip.id: clip for clip in Corpus.open(CORPUS).clips}
    return Setting(params.evaluate, frame_shift_ms, corpus, surroundings)


def material(
    graph: bytes, split: SplitName, params: Params, frontend: str | None, with_streams: bool = True
) -> Material:
    """Score the streams and clips of a split through the graph in onnxruntime.

    Args:
        frontend: fingerprint of the front-end that the streams' features must be of; None to take any.
        with_streams: whether to score the streams too.
    """
    count = workers.count(params.runtime.workers)
    streams = StreamSet.open(FEATURES, split, frontend)
    scores: list[np.ndarray] = []
    if with_streams:
        scored = score_streams(graph, streams, count)
        scores = list(log.progress(scored, len(streams.streams), f"{split} streams"))
    corpus = Corpus.open(CORPUS)
    clips = clips_of(corpus, split)
    return Material(streams, scores, clips, score_clips(graph, corpus, clips, split, count))


def clips_of(corpus: Corpus, split: SplitName) -> list[Clip]:
    """Return the clips of a split in which somebody or something is heard."""
    return [clip for clip in judged_by(all_of(corpus, split)) if clip.origin.label not in ("noise", "rir")]


def all_of(corpus: Corpus, split: SplitName) -> list[Clip]:
    """Return every clip of a split, noise and rooms too, in the order of the corpus."""
    ids = set(read_splits(SPLIT)[split])
    return [clip for clip in corpus.clips if clip.id in ids]


def score_clips(graph: bytes, corpus: Corpus, clips: Sequence[Clip], split: str, count: int) -> list[np.ndarray]:
    """Return the scores `(frames, phrases)` of each clip."""
    scored = score_alone(graph, (corpus.audio(clip) for clip in clips), count)
    return list(log.progress(scored, len(clips), f"{split} clips"))


def score_alone(graph: bytes, sounds: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Yield the scores of each sound: alone, in silence, half a second of it at the end."""
    tail = np.zeros(SAMPLE_RATE // 2, dtype=np.int16)
    return score_audio(graph, (np.concatenate([sound, tail]) for sound in sounds), count)


def which_phrase(graph: bytes, dev: Material, test: Material, params: Params) -> dict[str, dict[str, Any]]:
    """Return by its key in the report how well the phrases are told apart; nothing of a single one."""
    if len(params.phrases) == 1:
        return {}
    corpus = Corpus.open(CORPUS)
    materials: dict[SplitName, Material] = {"dev": dev, "test": test}
    heard = {}
    for split, found in materials.items():
        recordings = [clip for clip in all_of(corpus, split) if clip.origin.label == "noise"]
        noise = seconds_of_noise(corpus, recordings, usual_number(found.clips))
        scored = score_alone(graph, noise, workers.count(params.runtime.workers))
        noise_scores = list(log.progress(scored, len(noise), f"seconds of {split} noise"))
        heard[split] = gather(found.clips, found.clip_scores, noise_scores, params.phrases)
    report = report_which_phrase(heard["test"], heard["dev"], params.phrases)
    log.info("which phrase each test clip says", right=report["right"], clips=report["clips"])
    return {KEY: report}


def tell(examined: Examined) -> None:
    """Log what matters most."""
    log.info(f"'{examined.phrase}' on test at the operating point", **rates(examined.at_point))


def publish(
    folder: Path,
    errors: Path,
    examined: dict[str, Examined],
    points: dict[str, dict[str, Any]],
    test: Material,
    setting: Setting,
    curves: Sequence[dict[str, DetCurve]],
    which: dict[str, dict[str, Any]],
) -> None:
    """Fill a folder with the report, its pictures and tables, and another with the worst mistakes.

    Args:
        points: what is known of each phrase's operating point, for JSON.
        curves: for each phrase, DET curves to draw beside test's.
        which: what `which_phrase` returns.
    """
    report: dict[str, Any] = {**which}
    sections: list[tuple[str, Path | None, Sequence[Mistake]]] = []
    for each, more_curves in zip(examined.values(), curves, strict=True):
        # dvc.yaml names the tables of the first phrase; the pictures of all lie in a folder that it names.
        stem = "" if each.index == 0 else f"{each.index}_"
        report[each.phrase] = {"operating_point": {**points[each.phrase], "test": each.at_point}, **each.report}
        mistakes = worst_mistakes(each, test, setting, max(2, CUTS // 2 // len(examined)))
        draw(folder, stem, each, test, setting, more_curves, mistakes)
        sections.append((f"“{each.phrase}”", folder / f"{stem}errors.png", mistakes))
    write_json(folder / "metrics.json", report, exact=("threshold", "release"))
    outcomes = {phrase: each.outcomes for phrase, each in examined.items()}
    write_outcomes(folder / OUTCOMES, outcomes, sound_fingerprint(test.streams))
    write_sheet(errors, sections, test.streams)


if __name__ == "__main__":
    main("evaluate", run)
