"""The stages that train with a teacher, on a small project whose earlier stages are made up here."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stages import find_lr, train

from tests.stages import tiny_training
from tests.stages.running import write_params
from tests.training.conftest import MODEL
from wakeword.base.errors import UserError
from wakeword.models import checkpoint


class Cut(Exception):
    pass


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_as_it_was: None) -> Path:
    """Make what the stages before find-lr leave behind, and two teachers, and go there."""
    tiny_training.make_features(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/teacher").mkdir()
    for name, seed in (("one", 1), ("two", 2)):
        params(seed=seed)
        train.run()
        shutil.move("models/best_model.pt", f"data/teacher/{name}.pt")
    return tmp_path


def params(seed: int = 3, **changed: Any) -> None:
    short = {"lr": 0.01, "epochs": 2, "steps_per_epoch": 3, "threads": 1, "batches": {"size": 8, "window_s": 1.6}}
    write_params(
        Path(),
        phrases=["a"],
        seed=seed,
        model=MODEL.model_dump(mode="json"),
        train=short | changed,
        find_lr={"steps": 10},
        runtime={"device": "cpu"},
    )


def cut_after_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = train.judge_streams
    calls = []

    def judge(*arguments: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) > 1:
            raise Cut
        return judged(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(train, "judge_streams", judge)
        with pytest.raises(Cut):
            train.run()


def test_a_training_that_was_cut_off_goes_on_with_the_same_teacher_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def taken() -> bytes:
        return Path("models/best_model.pt").read_bytes()

    def goes_on() -> bool:
        caplog.clear()
        with caplog.at_level("INFO", logger="wakeword"):
            train.run()
        return "going on from an interrupted training" in caplog.text

    shutil.copy("data/teacher/one.pt", "data/teacher/best_model.pt")
    params(teacher={"files": ["best_model.pt"]})
    assert not goes_on()
    taught_by_one = taken()
    shutil.copy("data/teacher/two.pt", "data/teacher/best_model.pt")
    assert not goes_on()
    taught_by_two = taken()
    params()
    assert not goes_on()
    prints = [checkpoint.load(Path("models/best_model.pt")).fingerprints]
    assert set(prints[0]) == {"data", "params"}
    assert len({taught_by_one, taught_by_two, taken()}) == 3

    params(teacher={"files": ["best_model.pt"]})
    cut_after_first_epoch(monkeypatch)
    shutil.copy("data/teacher/one.pt", "data/teacher/best_model.pt")
    assert not goes_on() and taken() == taught_by_one
    shutil.copy("data/teacher/two.pt", "data/teacher/best_model.pt")
    assert goes_on() and taken() == taught_by_two
    kept = checkpoint.load(Path("models/best_model.pt")).fingerprints
    assert kept.keys() - prints[0].keys() == {"teacher"} and kept["data"] == prints[0]["data"]

    cut_after_first_epoch(monkeypatch)
    params(teacher={"files": ["best_model.pt"], "weight": 0.4})
    assert not goes_on() and taken() != taught_by_two
    assert checkpoint.load(Path("models/best_model.pt")).fingerprints["params"] != kept["params"]


def test_a_teacher_of_other_data_is_taken_and_told_of(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = Path("data/teacher/one.pt")
    model = checkpoint.load(file)
    checkpoint.save(file, replace(model, fingerprints=model.fingerprints | {"data": "other"}), MODEL)
    params(teacher={"files": ["two.pt", "one.pt"]})
    with caplog.at_level("WARNING", logger="wakeword"):
        train.run()
    assert "a teacher learned from other data" in caplog.text
    assert checkpoint.load(Path("models/best_model.pt")).fingerprints["teacher_data"] == "other"


def test_the_rate_is_looked_for_in_the_loss_that_is_trained_on(project: Path) -> None:
    sweeps = []
    for changed in ({}, {"teacher": {"files": ["one.pt"]}}):
        params(**changed)
        find_lr.run()
        sweeps.append(Path("data/reports/find-lr/sweep.csv").read_bytes())
    assert sweeps[0] != sweeps[1]


@pytest.mark.parametrize("stage", [find_lr, train])
def test_a_teacher_that_is_not_there_is_asked_for(project: Path, stage: Any) -> None:
    params(teacher={"files": ["gone.pt"]})
    with pytest.raises(UserError, match=r"data/teacher/gone\.pt, which train\.teacher\.files names, is missing"):
        stage.run()
