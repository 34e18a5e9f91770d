"""The export stage as a person runs it, on a small project whose earlier stages are made up here."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from stages import export

from tests.export.networks import POLICY, SLOW, SMALL, noise, trained, trained_scores
from tests.stages.running import run, write_params
from wakeword.base.errors import UserError
from wakeword.base.files import write_json
from wakeword.corpus.manifest import SAMPLE_RATE, Origin, Recording, tally
from wakeword.corpus.shards import ShardWriter
from wakeword.corpus.splits import write_splits
from wakeword.evaluation import operating_point
from wakeword.evaluation.judging import report_policy
from wakeword.evaluation.operating_point import OperatingPoint
from wakeword.export.graph import build
from wakeword.features.frontend import log_mel
from wakeword.features.store import Segment, Stream, StreamSet, write
from wakeword.models import checkpoint
from wakeword.models.config import DsTcnConfig
from wakeword.runtime.cli import main as command_line
from wakeword.runtime.detector import Detector
from wakeword.runtime.scorer import Scorer

PHRASE = "phrase 0"
POLICIES = {PHRASE: POLICY, "phrase 1": replace(POLICY, threshold=0.8, smoothing_frames=1)}
STREAM_S = 12.0


def project(path: Path, config: DsTcnConfig = SMALL, phrases: int = 1, **export_params: Any) -> Path:
    """Make what the stages before export leave behind."""
    model = trained(config, phrases)
    (path / "models").mkdir(parents=True)
    checkpoint.save(path / "models/best_model.pt", model, config)
    for split, count in (("train", 2), ("test", 3)):
        (path / "data/npy").mkdir(parents=True, exist_ok=True)
        streams = [_stream(split, number) for number in range(count)]
        rendered = [(stream, log_mel(pcm, model.frontend), pcm) for stream, pcm in streams]
        write(path / "data/npy", split, iter(rendered), model.frontend.fingerprint, model.frontend.mels, 1e9)
    clips = _corpus(path / "data/corpus")
    write_splits(path / "data/splits", {"train": [], "dev": [], "test": [clip.id for clip in clips]})
    test = StreamSet.open(path / "data/npy", "test")
    scores = [trained_scores(model, np.array(test.audio(stream))) for stream in test.streams]
    points = {
        phrase: OperatingPoint(POLICIES[phrase], 0.5, True, False, "too few hours", {}) for phrase in model.phrases
    }
    operating_point.write(path / "models/operating_point.json", points)
    counted = {"positive": tally(clips)}
    ingested = {
        "source": {"made up": counted},
        "licence": {"CC0-1.0": counted},
        "phrase": {phrase: tally(clips) for phrase in model.phrases},
        "warnings": [],
    }
    write_json(path / "data/reports/ingest/metrics.json", ingested)
    evaluated = {}
    for index, (phrase, point) in enumerate(points.items()):
        figures = report_policy(test.streams, scores, index, point.policy, model.network.frame_shift_ms, 500)
        slices = {"misses": {"made_by": {"recording": {}}}}
        operating = {**asdict(point), "test": figures}
        evaluated[phrase] = {"operating_point": operating, "frr_at_fah": {}, "slices": slices, "clips_fired": {}}
    write_json(path / "data/reports/evaluate/metrics.json", evaluated)
    # A network of random weights is no detector: int8 may do with it what it likes, unless a test says otherwise.
    bounds = {"int8_frr_points": 100.0, "int8_fah": 1000.0, "budget": {"cpu_s_per_s": 1.0}}
    write_params(path, seed=1, export=bounds | export_params, runtime={"workers": 1})
    return path


def _stream(split: str, number: int) -> tuple[Stream, np.ndarray]:
    pcm = noise(STREAM_S, seed=10 * number + len(split))
    keywords = [
        Segment(start_s, start_s + 0.5, "positive", "phrase", "speaker", f"clip {number}", index, True)
        for index, start_s in enumerate((4.0, 8.0))
    ]
    return Stream(f"{split}-{number}", "clean", 0, len(pcm) // 160, keywords), pcm


def _corpus(folder: Path) -> list[Any]:
    folder.mkdir(parents=True)
    origin = Origin("positive", PHRASE, PHRASE, "phrase", "speaker", True, "made up", "CC0-1.0", "en", "a.wav")
    with ShardWriter(folder) as writer:
        for number in range(4):
            pcm = noise(1.0 + number / 10, seed=100 + number)
            writer.add(Recording(origin, pcm, SAMPLE_RATE, (0, len(pcm))))
    return writer.clips


def run_here(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the stage in this process, which has torch loaded already."""
    monkeypatch.chdir(path)
    export.run()


def outs(path: Path) -> dict[str, bytes]:
    names = (
        "models/wakeword.onnx",
        "models/wakeword.int8.onnx",
        "models/README.md",
        "data/reports/export/metrics.json",
    )
    return {name: (path / name).read_bytes() for name in names if (path / name).exists()}


def test_the_stage_writes_what_ships(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run("export", project(tmp_path))
    assert done.returncode == 0, done.stderr
    assert len(outs(tmp_path)) == 4

    report = json.loads((tmp_path / "data/reports/export/metrics.json").read_text())
    assert report["clips"]["compared"] == 4 and report["streams"]["compared"] == 3
    assert all(0 < report[what]["largest_difference"] <= 1e-4 for what in ("clips", "streams"))
    assert report["phrases"][PHRASE]["fp32"]["keywords"] == report["phrases"][PHRASE]["int8"]["keywords"] == 3
    for name, kilobytes in report["size_kb"].items():
        assert (tmp_path / "models" / name).stat().st_size == pytest.approx(1000 * kilobytes)

    info = Scorer(tmp_path / "models/wakeword.onnx").info
    assert info.policies == {PHRASE: POLICY}
    assert info.licence == "trained on data under: CC0-1.0"
    assert info.figures[PHRASE]["keywords"] == 3 and len(info.figures[PHRASE]["frr_interval"]) == 2
    assert Scorer(tmp_path / "models/wakeword.int8.onnx").info.policies == info.policies

    pcm = noise(10.0, seed=5)
    detector = Detector(tmp_path / "models/wakeword.onnx")
    np.testing.assert_allclose(detector.scores(pcm), trained_scores(trained(), pcm), atol=1e-5)
    soundfile.write(tmp_path / "a.wav", pcm, SAMPLE_RATE)
    assert command_line(["detect", str(tmp_path / "a.wav"), "--model", str(tmp_path / "models/wakeword.onnx")]) == 0
    heard = np.concatenate([pcm, np.zeros(SAMPLE_RATE // 2, dtype=pcm.dtype)])  # the command hears each file's end, too
    assert len(capsys.readouterr().out.splitlines()) == len(detector.process(heard)) > 0
    assert "| int8 |" in (tmp_path / "models/README.md").read_text()


def test_each_phrase_ships_with_its_own_policy_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_here(project(tmp_path, phrases=2), monkeypatch)
    info = Scorer(tmp_path / "models/wakeword.onnx").info
    assert info.policies == POLICIES
    report = json.loads((tmp_path / "data/reports/export/metrics.json").read_text())["phrases"]
    test = StreamSet.open(tmp_path / "data/npy", "test")
    model = trained(phrases=2)
    scores = [trained_scores(model, np.array(test.audio(stream))) for stream in test.streams]
    truth = [
        report_policy(test.streams, scores, index, policy, model.network.frame_shift_ms, 500)
        for index, policy in enumerate(POLICIES.values())
    ]
    counted = ("misses", "keywords", "false_alarms")
    assert [truth[0][name] for name in counted] != [truth[1][name] for name in counted]
    for phrase, expected in zip(POLICIES, truth, strict=True):
        assert [report[phrase]["fp32"][name] for name in counted] == [expected[name] for name in counted]
        assert info.figures[phrase]["frr"] == pytest.approx(expected["frr"])


def test_an_int8_file_that_misses_more_does_not_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, int8_frr_points=0.0, int8_fah=0.0)
    deaf = trained()
    with torch.no_grad():
        deaf.network.body.head.bias -= 20.0
    monkeypatch.setattr(export, "quantize", lambda *_: build(deaf, separable=True))  # as if the int8 file came out so
    with pytest.raises(UserError, match="the int8 file misses 3 of 3"):
        run_here(tmp_path, monkeypatch)
    assert outs(tmp_path) == {}


def test_what_a_teacher_learned_from_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path)
    model = replace(trained(), fingerprints={"data": "abc", "teacher": "def"})
    for prints, line in (({}, "CC0-1.0"), ({"teacher_data": "other"}, "CC0-1.0; unknown")):
        taught = replace(model, fingerprints=model.fingerprints | prints)
        checkpoint.save(tmp_path / "models/best_model.pt", taught, SMALL)
        run_here(tmp_path, monkeypatch)
        info = Scorer(tmp_path / "models/wakeword.onnx").info
        assert info.licence == f"trained on data under: {line}" and info.fingerprints["teacher"] == "def"
        card = (tmp_path / "models/README.md").read_text()
        assert "teacher `def`" in card
        assert ("a teacher that was trained on other data" in card) == ("no known licence" in card) == bool(prints)


def test_a_model_of_another_stride_ships_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_here(project(tmp_path, SLOW), monkeypatch)
    detector, pcm = Detector(tmp_path / "models/wakeword.onnx"), noise(10.0, seed=5)
    np.testing.assert_allclose(detector.scores(pcm), trained_scores(trained(SLOW), pcm), atol=1e-5)
    assert all(round(event.time_s * 1000) % 30 == 0 for event in detector.process(pcm))
    assert Detector(tmp_path / "models/wakeword.int8.onnx").info.hop_samples == 480
    assert "a score every\n30 ms" in (tmp_path / "models/README.md").read_text()


def test_two_runs_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for name in ("a", "b"):
        run_here(project(tmp_path / name), monkeypatch)
        written.append(outs(tmp_path / name))
    assert len(written[0]) == 4 and written[0] == written[1]


@pytest.mark.parametrize(
    ("export_params", "told"),
    [
        ({"max_difference": 1e-9}, "differs from the trained model on clip "),
        ({"budget": {"fp32_kb": 1.0}}, r"export\.budget\.fp32_kb allows 1"),
        ({"budget": {"int8_kb": 1.0}}, r"export\.budget\.int8_kb allows 1"),
        ({"budget": {"cpu_s_per_s": 1e-6}}, "CPU seconds"),
        ({"bugdet": {}}, r"unknown key 'export\.bugdet'"),
    ],
)
def test_what_is_outside_the_bounds_does_not_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, export_params: dict[str, Any], told: str
) -> None:
    project(tmp_path, **export_params)
    with pytest.raises(UserError, match=told):
        run_here(tmp_path, monkeypatch)
    assert outs(tmp_path) == {}


def test_a_network_trained_since_it_was_evaluated_does_not_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its operating point would be another network's, and the card would show figures of both."""
    project(tmp_path)
    deaf = trained()
    with torch.no_grad():
        deaf.network.body.head.bias -= 20.0
    checkpoint.save(tmp_path / "models/best_model.pt", deaf, SMALL)
    with pytest.raises(UserError, match=r"the file misses 3 of 3.*run `dvc repro evaluate`"):
        run_here(tmp_path, monkeypatch)
    assert outs(tmp_path) == {}


def test_a_policy_for_other_phrases_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path)
    point = OperatingPoint(POLICY, 0.5, True, False, "", {})
    operating_point.write(tmp_path / "models/operating_point.json", {"another": point})
    with pytest.raises(UserError, match=f"lacks '{PHRASE}'"):
        run_here(tmp_path, monkeypatch)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "models/best_model.pt").unlink()
    done = run("export", tmp_path)
    assert done.returncode == 1
    assert "best_model.pt is missing; train first" in done.stderr and "Traceback" not in done.stderr


def test_files_name_the_commit_of_the_code_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "code_commit", lambda folder: "0123abcd+")
    assert export.fingerprints(trained()) == {"data": "abc", "params": "def", "commit": "0123abcd+"}
    monkeypatch.setattr(export, "code_commit", lambda folder: None)
    assert export.fingerprints(trained()) == {"data": "abc", "params": "def"}
