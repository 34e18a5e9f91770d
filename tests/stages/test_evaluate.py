"""The evaluate stage on a small project whose earlier stages are made up here, and the same for an exported file."""

import json
from pathlib import Path

import numpy as np
import pytest
from stages import evaluate

from tests.export.networks import SMALL, noise, trained, with_policy
from tests.stages.running import write_params
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import SAMPLE_RATE, Label, Origin, Recording
from wakeword.corpus.shards import ShardWriter
from wakeword.corpus.splits import write_splits
from wakeword.evaluation.compare import compare_runs, load
from wakeword.features.frontend import log_mel
from wakeword.features.store import Segment, Stream, write
from wakeword.models import checkpoint

PHRASE = "phrase 0"
STREAM_S = 40.0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make what the stages before evaluate leave behind, and go there."""
    model = trained()
    checkpoint.save(tmp_path / "models/best_model.pt", model, SMALL)
    ids = corpus(tmp_path / "data/corpus")
    write_splits(tmp_path / "data/splits", {"train": [], **ids})  # type: ignore[typeddict-item]
    (tmp_path / "data/npy").mkdir()
    for split, clips in ids.items():
        streams = [stream(f"{split}-{number}", clips, len(split) + 10 * number) for number in range(3)]
        rendered = [(each, log_mel(pcm, model.frontend), pcm) for each, pcm in streams]
        write(tmp_path / "data/npy", split, iter(rendered), model.frontend.fingerprint, model.frontend.mels, 1e9)
    conditions = [{"name": "clean"}, {"name": "hall", "snr_db": 20.0, "reverb": True}]
    rates = {"target_fah": 200.0, "report_fah": [100.0, 400.0], "max_fah": 1000.0}
    write_params(tmp_path, phrases=[PHRASE], streams={"conditions": conditions}, evaluate=rates, runtime={"workers": 1})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def corpus(folder: Path) -> dict[str, list[str]]:
    folder.mkdir(parents=True)
    ids: dict[str, list[str]] = {"dev": [], "test": []}
    with ShardWriter(folder) as writer:
        for number in range(24):
            label: Label = "positive" if number % 4 < 2 else "negative"
            phrase, kind = (PHRASE, "phrase") if label == "positive" else (None, "speech")
            split = "dev" if number % 2 else "test"
            group = f"{split} speaker {number % 3}"
            origin = Origin(label, phrase, "said", kind, group, True, "made up", "CC0-1.0", "en", "a.wav")
            pcm = noise(1.0 + number / 50, seed=100 + number)
            ids[split].append(writer.add(Recording(origin, pcm, SAMPLE_RATE, (0, len(pcm)))).id)
    return ids


def stream(name: str, clips: list[str], seed: int) -> tuple[Stream, np.ndarray]:
    pcm = noise(STREAM_S, seed=seed)
    segments = [
        Segment(3.0 * at + 1, 3.0 * at + 1.7, "positive", "phrase", f"speaker {at % 4}", clips[at], 0, True)
        if at % 2
        else Segment(3.0 * at + 1, 3.0 * at + 2.5, "negative", "speech", f"speaker {at % 4}", clips[at], None, True)
        for at in range(12)
    ]
    return Stream(name, "hall" if seed > 9 else "clean", 0, len(pcm) // 160, segments), pcm


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["evaluate.py", *arguments])
    evaluate.run()


def tree(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def without_interval(node: object, where: str = "") -> list[str]:
    """Return the rates in a report beside which no interval stands."""
    if not isinstance(node, dict):
        return []
    found = [inner for key, value in node.items() for inner in without_interval(value, f"{where}/{key}")]
    bare = [key for key in ("frr", "fah", "share") if node.get(key) is not None and f"{key}_interval" not in node]
    return found + [f"{where}/{key}" for key in bare if "conditions" not in where]


def test_it_writes_its_outs_and_nothing_else_and_the_same_twice(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(tree(project))
    run(monkeypatch)
    made = tree(project / "data/reports/evaluate", project / "data/errors", project / "models")
    assert set(tree(project)) - before == set(made) - {str(project / "models/best_model.pt")}
    reports = json.loads((project / "data/reports/evaluate/metrics.json").read_text())
    report = reports.pop(PHRASE)
    assert not reports  # a single phrase can't be taken for another
    assert set(report) == {"calibration", "clips", "clips_fired", "frr_at_fah", "operating_point", "slices"}
    assert without_interval(report) == []
    assert set(report["clips"]["intervals"]) == {"roc_auc", "pauc", "eer", "average_precision", "f1"}
    at = report["operating_point"]["test"]
    for rows in report["slices"]["misses"].values():
        assert (sum(r["keywords"] for r in rows.values()), sum(r["misses"] for r in rows.values())) == (
            18,
            at["misses"],
        )
    for rows in report["slices"]["false_alarms"].values():
        assert sum(row["false_alarms"] for row in rows.values()) == at["false_alarms"]
        assert sum(row["hours"] for row in rows.values()) == pytest.approx(at["hours"], rel=1e-4)
    assert set(report["slices"]["misses"]["snr_db"]) == {"no noise", "20"}
    sheet = (project / "data/errors/index.html").read_text()
    assert sheet.count("<audio") == min(at["misses"], 20) + min(at["false_alarms"], 20)
    (same,) = compare_runs(load("data/reports/evaluate"), load("data/reports/evaluate"))
    assert same.sentence.startswith("It is noise") and same.differences[0].a == pytest.approx(at["frr"])
    assert same.differences[1].a == pytest.approx(at["fah"], rel=1e-4)
    run(monkeypatch)
    assert tree(project / "data/reports/evaluate", project / "data/errors", project / "models") == made


def test_an_exported_file_gets_the_same_figures_and_leaves_nothing_behind(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch)
    report = json.loads((project / "data/reports/evaluate/metrics.json").read_text())[PHRASE]
    point = evaluate.operating_point.read(project / "models/operating_point.json")[PHRASE]
    exported = project / "exported.onnx"
    exported.write_bytes(with_policy(trained(), point.policy))
    before = tree(project)
    run(monkeypatch, "--model", str(exported))
    assert tree(project) == before
    said, at = capsys.readouterr().out, report["operating_point"]["test"]
    assert (
        f"{at['misses']} of {at['keywords']} missed" in said and f"{at['false_alarms']} in {at['hours']:.2f} h" in said
    )
    run(monkeypatch, "--model", str(exported), "--out", "elsewhere")
    other = json.loads((project / "elsewhere/metrics.json").read_text())[PHRASE]
    assert {key: other[key] for key in other if key != "operating_point"} == {
        key: report[key] for key in report if key != "operating_point"
    }
    assert other["operating_point"]["test"] == at
    assert (project / "elsewhere/errors/index.html").exists()
    run(monkeypatch, "--model", str(exported), "--out", "elsewhere")  # its own report it may replace


def test_a_report_takes_the_place_of_nothing_else(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "thesis").mkdir()
    (project / "thesis/chapter.txt").write_text("two years of work")
    before = tree(project)
    for out in ("thesis", "thesis/chapter.txt", "."):
        with pytest.raises(UserError, match="name a new folder for --out"):
            run(monkeypatch, "--model", "none.onnx", "--out", out)
    with pytest.raises(UserError, match="is what `dvc repro evaluate` writes; name another folder"):
        run(monkeypatch, "--model", "none.onnx", "--out", "data/reports/../reports/evaluate")
    assert tree(project) == before


def test_what_is_no_model_for_these_streams_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, plain = project / "other.onnx", project / "plain.onnx"
    other.write_bytes(with_policy(trained(phrases=2)))
    plain.write_text("no model")
    for name, said in ((other, "knows"), (plain, "no ONNX file"), (project / "none.onnx", "does not exist")):
        with pytest.raises(UserError, match=said):
            run(monkeypatch, "--model", str(name))
    with pytest.raises(SystemExit):
        run(monkeypatch, "--out", "elsewhere")
