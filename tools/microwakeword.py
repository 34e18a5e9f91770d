"""A model for microWakeWord and ESPHome: `make microwakeword`, after the pipeline's featurize.

Their devices compute other features than ours, in fixed point, so no graph can be carried over: the network of
`params.yaml` is trained once more, on the same streams heard through their front-end, and written as an int8 streaming
TFLite file with its manifest. The threshold is chosen on dev with their own package running that file. The file is
refused where it does worse on dev than the network it was made of, beyond `export.int8_frr_points` and `int8_fah`.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.peers_accuracy import slug
from stages.train import peak_lr, source_fingerprint

from wakeword import workers
from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import fingerprint, hash_files, replacing_folder, write_json
from wakeword.base.params import Language, Phrases, Section, Seed, load
from wakeword.base.stage import main as as_stage
from wakeword.detection.policy import Policy
from wakeword.evaluation import operating_point
from wakeword.evaluation.config import EvaluateConfig, Votes
from wakeword.evaluation.judging import (
    SELECTION_FAH,
    false_alarms_at,
    scored_streams,
    selection_figures,
    training_policy,
)
from wakeword.evaluation.metrics import DetCurve, det_curve, measure
from wakeword.evaluation.summary import rates
from wakeword.export.config import ExportConfig
from wakeword.export.parity import Counts, check_counts
from wakeword.features import cmvn, store
from wakeword.features.frontend import FRAME_MS, FrontendConfig
from wakeword.features.store import Stream, StreamSet
from wakeword.interchange import microwakeword
from wakeword.interchange.micro_frontend import CHANNELS, FLOOR, FRONTEND, NATS, RANGE_HZ, micro_features
from wakeword.interchange.streams import judged_streams, train_streams
from wakeword.interchange.tflite import activation_ranges, convert, convertible, operator_count
from wakeword.models.config import DsTcnConfig, ModelConfig
from wakeword.models.network import Network, parameter_count, score_stream
from wakeword.runtime_config import RuntimeConfig
from wakeword.streams.config import StreamsConfig
from wakeword.training import devices, loop, mining
from wakeword.training.config import TrainConfig
from wakeword.training.mining import Mined
from wakeword.training.objective import training_objective

CORPUS, SPLIT, FEATURES = Path("data/corpus"), Path("data/splits"), Path("data/npy")
CACHE, OUT = Path(".cache/microwakeword"), Path("models/microwakeword")
CALIBRATION_S = 300.0


class Params(Section):
    phrases: Phrases
    language: Language = "en"
    seed: Seed
    streams: StreamsConfig = StreamsConfig()
    model: ModelConfig = DsTcnConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    export: ExportConfig = ExportConfig()
    runtime: RuntimeConfig = RuntimeConfig()


def run() -> None:
    params = load(Params)
    refuse_what_cannot_be_kept_to(params.train)
    # Theirs averages and compares, and knows no votes.
    params = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"votes": [Votes()]})})
    streams = heard(params)
    network = trained(params, streams)
    train, dev = (StreamSet.open(streams, split) for split in ("train", "dev"))
    ranges = activation_ranges(network, calibration(train, network.receptive_field))
    with replacing_folder(OUT) as folder:
        for index, phrase in enumerate(params.phrases):
            report = write_phrase(folder, index, phrase, network, ranges, dev, params)
            write_json(folder / f"{slug(phrase)}.report.json", report)


def refuse_what_cannot_be_kept_to(config: TrainConfig) -> None:
    """Refuse what the train stage does of its section and this command does not.

    Raises:
        UserError: there is such a thing; the message names its key.
    """
    if config.teacher is not None:
        raise UserError(
            "train.teacher is set, but teachers hear our own features and can't say what a network should make of "
            "microWakeWord's; set it to null while you run this"
        )
    if config.nproc > 1:
        raise UserError(
            f"train.nproc is {config.nproc}, but this trains in one process; set it to 1 while you run this"
        )


def heard(params: Params) -> Path:
    """Return a folder of the streams of train and dev as microWakeWord's front-end hears them.

    It is made once for the same streams, which its name identifies.
    """
    made_of = hash_files(
        [FEATURES / f"{split}.{kind}" for split in ("train", "dev") for kind in ("json", "features.npy")]
    )
    folder = CACHE / fingerprint([FRONTEND, made_of])
    if not folder.exists():
        with replacing_folder(folder) as new:
            count = workers.count(params.runtime.workers)
            made = train_streams(
                CORPUS, SPLIT, FEATURES, params.phrases, params.streams, params.seed, micro_features, count
            )
            total = len(StreamSet.open(FEATURES, "train").streams)
            judged = judged_streams(FEATURES, "dev", micro_features, count)
            for split, streams in (("train", log.progress(made, total, "train streams")), ("dev", judged)):
                store.write(new, split, with_no_sound(streams), FRONTEND, CHANNELS, audio_s=0.0)
    return folder


def with_no_sound(heard: Iterator[tuple[Stream, np.ndarray]]) -> Iterator[tuple[Stream, np.ndarray, np.ndarray]]:
    for stream, features in heard:
        yield stream, features, np.zeros(0, dtype=np.int16)


def trained(params: Params, streams: Path) -> Network:
    """Train as the train stage does, on the features in a folder that `heard` gave."""
    config, device = params.train, devices.choose(params.runtime.device)
    devices.make_repeatable(config.threads, params.seed)
    train, dev = (StreamSet.open(streams, split) for split in ("train", "dev"))
    statistics = cmvn.accumulate((train.features(stream) for stream in train.streams), FRONTEND)
    network = Network(params.model, statistics, FLOOR, len(params.phrases)).to(device)
    convertible(network)
    bands = FrontendConfig(mels=CHANNELS, f_min_hz=RANGE_HZ[0], f_max_hz=RANGE_HZ[1])
    objective = training_objective(config, train, network, bands, params.phrases, params.language, params.seed)
    lr = peak_lr(config)

    def judge(candidate: Network) -> dict[str, float]:
        scores = [score_stream(candidate, dev.features(stream)).numpy() for stream in dev.streams]
        curves = [curve(dev, scores, index, candidate, params) for index in range(len(params.phrases))]
        figures = selection_figures(dev.streams, curves)
        if config.fah_control is not None:
            threshold, shift_ms = config.fah_control.threshold, candidate.frame_shift_ms
            figures |= false_alarms_at(threshold, dev.streams, scores, shift_ms, params.evaluate)
        return figures

    def mine(candidate: Network) -> list[Mined]:
        return mining.mine(
            log.progress(train.streams, len(train.streams), "training streams searched for false alarms"),
            lambda stream: score_stream(candidate, train.features(stream)).numpy(),
            training_policy(config.mining.threshold, params.evaluate),
            candidate.frame_shift_ms,
            params.evaluate.tolerance_ms,
            config.mining.most,
        )

    known = params.model_dump(mode="json", exclude={"runtime": True})
    known_by = fingerprint([streams.name, source_fingerprint(), hash_files([Path(__file__)]), known, lr, device.type])
    log.info("training for microWakeWord", parameters=parameter_count(network), lr=f"{lr:.3g}")
    result = loop.train(network, objective, judge, config, lr, params.seed, CACHE / "checkpoints" / known_by, mine)
    loop.forget(CACHE / "checkpoints" / known_by)
    log.info("kept", epochs=result.kept_epochs, mean_recall=round(result.kept_figures["mean_recall"], 4))
    return result.network


def curve(dev: StreamSet, scores: list[np.ndarray], index: int, network: Network, params: Params) -> DetCurve:
    """Return what a phrase's scores on dev give with the first of the moving averages to try."""
    config, shift_ms = params.evaluate, float(FRAME_MS * network.stride)
    template = Policy(1.0, config.release_ratio, config.smoothing_frames[0], refractory_ms=config.refractory_ms)
    pairs = scored_streams(dev.streams, scores, index)
    return det_curve(pairs, template, shift_ms, config.tolerance_ms, max(SELECTION_FAH, config.target_fah))


def calibration(train: StreamSet, receptive_field: int) -> Iterator[np.ndarray]:
    """Yield the features of training streams until they are long enough to tell the range of every activation."""
    seconds = 0.0
    for stream in train.streams:
        if seconds < CALIBRATION_S and stream.frames > receptive_field:
            seconds += stream.seconds
            yield train.features(stream)


def write_phrase(
    folder: Path,
    index: int,
    phrase: str,
    network: Network,
    ranges: dict[str, tuple[float, float]],
    dev: StreamSet,
    params: Params,
) -> dict[str, Any]:
    """Write the two files of a phrase and return what the package makes of them on dev, beside the network."""
    content = convert(network, ranges, index, unit=NATS)
    path = folder / f"{slug(phrase)}.json"
    arena = microwakeword.arena_bytes(network.state_size, operator_count(content))
    described = partial(microwakeword.manifest, phrase, params.language, f"{slug(phrase)}.tflite", arena=arena)
    microwakeword.write(path, content, described(threshold=0.5, smoothing_frames=1))
    features = [dev.features(stream) for stream in dev.streams]
    shift_ms = float(FRAME_MS * network.stride)
    silent = scored_streams(dev.streams, [np.zeros((0, index + 1))] * len(dev.streams), index)
    theirs = [
        pair._replace(scores=scores) for pair, scores in zip(silent, microwakeword.score(path, features), strict=True)
    ]
    ours = scored_streams(dev.streams, [score_stream(network, each).numpy() for each in features], index)
    point = operating_point.choose(phrase, theirs, params.evaluate, shift_ms)
    smoothing = point.policy.smoothing_frames
    cutoff = microwakeword.cutoff(point.policy.threshold, smoothing)
    microwakeword.write(path, content, described(threshold=cutoff.probability, smoothing_frames=smoothing))
    policy = replace(point.policy, threshold=cutoff.mean, release=cutoff.mean * params.evaluate.release_ratio)
    fp32, int8 = (measure(pairs, policy, shift_ms, params.evaluate.tolerance_ms).figures() for pairs in (ours, theirs))
    check_counts(phrase, counted(fp32), counted(int8), params.export)
    apart = np.concatenate([np.abs(one.scores - two.scores) for one, two in zip(ours, theirs, strict=True)])
    log.info(f"'{phrase}' on dev in floating point", **rates(fp32))
    log.info(f"'{phrase}' on dev through pymicro-wakeword", **rates(int8), bytes=len(content))
    return {
        "bytes": len(content),
        "dev": {"fp32": fp32, "int8": int8},
        "difference": {"mean": float(f"{apart.mean():.2g}"), "max": float(f"{apart.max():.2g}")},
        "statement": point.statement,
        "threshold": cutoff.probability,
        "smoothing_frames": smoothing,
    }


def counted(figures: dict[str, Any]) -> Counts:
    return Counts(*(figures[name] for name in Counts._fields))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    as_stage("microwakeword", run)
