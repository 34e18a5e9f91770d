"""Write the files that ship, and refuse to if they are not what was trained and measured: `models/wakeword.onnx`.

The quantized file and a model card go beside it; the report goes to `data/reports/export/`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wakeword import workers
from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import read_json, replacing_folder, write_bytes, write_json
from wakeword.base.params import Section, Seed, load
from wakeword.base.stage import main
from wakeword.corpus.manifest import SAMPLE_RATE
from wakeword.corpus.shards import Corpus
from wakeword.corpus.splits import read_splits
from wakeword.evaluation import operating_point
from wakeword.evaluation.config import EvaluateConfig
from wakeword.evaluation.judging import report_policy
from wakeword.evaluation.scoring import score_audio
from wakeword.export.config import Budget, ExportConfig
from wakeword.export.graph import build, with_metadata
from wakeword.export.model_card import Card, licence_line, render
from wakeword.export.parity import (
    Counts,
    Recording,
    check_cost,
    check_counts,
    check_evaluated,
    check_size,
    compare,
    cpu_cost,
)
from wakeword.export.provenance import code_commit
from wakeword.export.quantization import quantize
from wakeword.features.store import StreamSet
from wakeword.models.checkpoint import TrainedModel
from wakeword.models.checkpoint import load as load_model
from wakeword.models.network import parameter_count
from wakeword.runtime.scorer import Scorer
from wakeword.runtime_config import RuntimeConfig

MODEL, OPERATING_POINT = Path("models/best_model.pt"), Path("models/operating_point.json")
FEATURES, CORPUS, SPLIT = Path("data/npy"), Path("data/corpus"), Path("data/splits")
INGESTED, EVALUATED = Path("data/reports/ingest/metrics.json"), Path("data/reports/evaluate/metrics.json")
FP32, INT8, CARD = Path("models/wakeword.onnx"), Path("models/wakeword.int8.onnx"), Path("models/README.md")
REPORT = Path("data/reports/export")
CLIPS = 200
CALIBRATION_S = 300


class Params(Section):
    seed: Seed
    evaluate: EvaluateConfig = EvaluateConfig()
    export: ExportConfig = ExportConfig()
    runtime: RuntimeConfig = RuntimeConfig()


@dataclass(frozen=True)
class Inputs:
    """What the earlier stages left: see the paths above."""

    model: TrainedModel
    points: dict[str, operating_point.OperatingPoint]
    ingested: dict[str, Any]
    evaluated: dict[str, Any]
    test: StreamSet


def run() -> None:
    params = load(Params)
    inputs = read_inputs()
    report: dict[str, Any] = {
        "parameters": parameter_count(inputs.model.network),
        "size_kb": {},
        "phrases": {phrase: {} for phrase in inputs.model.phrases},
    }
    fp32, scores = export_fp32(inputs, params, report)
    files = {FP32: fp32, INT8: export_int8(inputs, params, scores, report)}
    publish(files, inputs, report)


def read_inputs() -> Inputs:
    model, points = load_model(MODEL), operating_point.read(OPERATING_POINT)
    if missing := [phrase for phrase in model.phrases if phrase not in points]:
        raise UserError(f"{OPERATING_POINT} lacks '{missing[0]}'; run `dvc repro evaluate`")
    return Inputs(model, points, read_json(INGESTED), read_json(EVALUATED), StreamSet.open(FEATURES, "test"))


def export_fp32(inputs: Inputs, params: Params, report: dict[str, Any]) -> tuple[bytes, list[np.ndarray]]:
    """Return the file, and its scores `(frames, phrases)` on each test stream."""
    content = build(inputs.model)
    check_budget(FP32, content, "fp32_kb", params.export.budget)
    scorer = Scorer(content)
    differences: dict[str, float] = {}
    scores: list[np.ndarray] = []
    for what, recordings in (("clips", test_clips()), ("streams", test_streams(inputs.test))):
        compared = compare(inputs.model, scorer, recordings, params.export.max_difference, params.seed)
        shown = log.progress(compared, len(recordings), f"{what} compared")
        scores, largest = map(list, zip(*shown, strict=True))
        differences[what] = max(largest)
        report[what] = {"compared": len(recordings), "largest_difference": rounded_up(differences[what])}
    log.info("the file scores as the network does", **{what: f"{gap:.1e}" for what, gap in differences.items()})
    measured = figures(inputs, scores, params.evaluate)
    for phrase, values in measured.items():
        check_evaluated(phrase, counts(inputs.evaluated[phrase]["operating_point"]["test"]), counts(values))
        report["phrases"][phrase]["fp32"] = values
    content = described(content, inputs, measured)
    report["size_kb"][FP32.name] = len(content) / 1000
    return content, scores


def export_int8(inputs: Inputs, params: Params, fp32_scores: list[np.ndarray], report: dict[str, Any]) -> bytes:
    """Return the quantized file."""
    audio = StreamSet.open(FEATURES, "train").all_audio[: CALIBRATION_S * SAMPLE_RATE]
    content = quantize(build(inputs.model, separable=True), np.array(audio))
    check_budget(INT8, content, "int8_kb", params.export.budget)
    streams = test_streams(inputs.test)
    scored = score_audio(content, (stream.pcm for stream in streams), workers.count(params.runtime.workers))
    scores = list(log.progress(scored, len(streams), "streams through int8"))
    measured = figures(inputs, scores, params.evaluate)
    apart = np.concatenate([np.abs(mine - theirs) for mine, theirs in zip(scores, fp32_scores, strict=True)])
    for index, (phrase, values) in enumerate(measured.items()):
        phrase_report = report["phrases"][phrase]
        check_counts(phrase, counts(phrase_report["fp32"]), counts(values), params.export)
        phrase_report["int8"] = values
        phrase_report["int8_difference"] = {
            "mean": float(f"{apart[:, index].mean():.2g}"),
            "max": float(f"{apart[:, index].max():.2g}"),
        }
    content = described(content, inputs, measured)
    report["size_kb"][INT8.name] = len(content) / 1000
    return content


def check_budget(path: Path, content: bytes, key: str, budget: Budget) -> None:
    check_size(str(path), content, key, budget)
    cost = cpu_cost(Scorer(content))
    log.info(f"built {path}", kB=round(len(content) / 1000, 1), cpu_s_per_s=round(cost, 5))
    check_cost(str(path), cost, budget)


def publish(files: dict[Path, bytes], inputs: Inputs, report: dict[str, Any]) -> None:
    """Write the files, the card and the report."""
    card = Card(
        phrases=inputs.model.phrases,
        language=inputs.model.language,
        parameters=report["parameters"],
        frame_shift_ms=inputs.model.network.frame_shift_ms,
        receptive_field_ms=Scorer(files[FP32]).info.receptive_field_ms,
        sizes={path.name: len(content) for path, content in files.items()},
        licences=licences(inputs),
        ingest=inputs.ingested,
        evaluate=inputs.evaluated,
        export=report,
        fingerprints=fingerprints(inputs.model),
    )
    for path in (FP32, INT8):
        write_bytes(path, files.get(path, b""))  # an out of a DVC stage must exist; an empty one stands for none
    write_bytes(CARD, render(card).encode())
    with replacing_folder(REPORT) as folder:
        write_json(folder / "metrics.json", report)


def test_clips() -> list[Recording]:
    """Return the first of the test clips in the order of their ids, which is no order of anything else."""
    ids = set(read_splits(SPLIT)["test"])
    corpus = Corpus.open(CORPUS)
    clips = [clip for clip in corpus.clips if clip.id in ids and clip.origin.label not in ("noise", "rir")]
    if not clips:
        raise UserError(f"{SPLIT / 'test.json'} holds no clip to compare on; run `dvc repro split`")
    return [Recording(f"clip {clip.id} ({clip.origin.path})", corpus.audio(clip)) for clip in clips[:CLIPS]]


def test_streams(test: StreamSet) -> list[Recording]:
    return [Recording(f"stream {stream.name}", test.audio(stream)) for stream in test.streams]


def figures(inputs: Inputs, scores: Sequence[np.ndarray], config: EvaluateConfig) -> dict[str, dict[str, Any]]:
    """Return, for each phrase, what the detector did on the test streams at its operating point."""
    shift = inputs.model.network.frame_shift_ms
    return {
        phrase: report_policy(
            inputs.test.streams, scores, index, inputs.points[phrase].policy, shift, config.tolerance_ms
        )
        for index, phrase in enumerate(inputs.model.phrases)
    }


def counts(measured: dict[str, Any]) -> Counts:
    return Counts(*(measured[name] for name in Counts._fields))


def described(content: bytes, inputs: Inputs, measured: dict[str, dict[str, Any]]) -> bytes:
    """Return the file with its policy, its figures and its licences in its metadata."""
    shown = ("frr", "frr_interval", "keywords", "fah", "fah_interval", "hours", "latency_ms_median", "latency_ms_p95")
    values = {
        "policy": {phrase: asdict(inputs.points[phrase].policy) for phrase in measured},
        "figures": {phrase: {name: whole[name] for name in shown} for phrase, whole in measured.items()},
        "fingerprints": fingerprints(inputs.model),
    }
    metadata = {name: json.dumps(value, sort_keys=True, ensure_ascii=False) for name, value in values.items()}
    return with_metadata(content, {**metadata, "licence": licence_line(licences(inputs))})


def licences(inputs: Inputs) -> list[str]:
    """Return the licences of all that the model learned from; those of a teacher's other data nobody recorded."""
    known = set(inputs.ingested["licence"])
    return sorted(known | ({"unknown"} if "teacher_data" in inputs.model.fingerprints else set()))


def fingerprints(model: TrainedModel) -> dict[str, str]:
    """Return what identifies the data, the parameters and, where there is a history, the code."""
    commit = code_commit(Path())
    return model.fingerprints | ({"commit": commit} if commit else {})


def rounded_up(difference: float) -> float:
    """Return the difference to one digit, rounded up, so that it does not change with every detail of arithmetic."""
    if difference <= 0:
        return 0.0
    digit = 10.0 ** math.floor(math.log10(difference))
    return float(f"{math.ceil(difference / digit) * digit:.1g}")


if __name__ == "__main__":
    main("export", run)
