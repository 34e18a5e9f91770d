"""What the train stage reports of averaged epochs and of controlled false alarms, on made-up features."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stages import train

from tests.stages.running import write_params
from tests.training.conftest import FRONTEND, MODEL
from wakeword.base.files import read_json
from wakeword.features import cmvn
from wakeword.features.store import Segment, Stream, write
from wakeword.models.checkpoint import load

SECONDS = 30


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_as_it_was: None) -> Path:
    """Go where the features of a phrase lie, which is louder than all else."""
    rng = np.random.default_rng(0)
    (tmp_path / "data/npy").mkdir(parents=True)
    for split in ("train", "dev"):
        features = rng.standard_normal((100 * SECONDS, FRONTEND.mels)).astype(np.float32) - 8.0
        segments = []
        for start in range(2, SECONDS - 2, 4):
            features[100 * start : 100 * start + 50] += 3.0
            segments.append(Segment(start, start + 0.5, "positive", "phrase", "g", f"{start}", 0, True))
        streams = [(Stream(split, "clean", 0, len(features), segments), features, np.zeros(0, np.int16))]
        written = write(tmp_path / "data/npy", split, streams, FRONTEND.fingerprint, FRONTEND.mels, 0.0)
        cmvn.save(tmp_path / "data/cmvn.json", cmvn.accumulate([written.all_features], FRONTEND.fingerprint))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(**changed: Any) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Run the stage and return its metrics and its table of epochs."""
    short = {"lr": 0.01, "epochs": 3, "steps_per_epoch": 4, "threads": 1, "batches": {"size": 8, "window_s": 1.6}}
    write_params(
        Path(),
        phrases=["a"],
        seed=1,
        model=MODEL.model_dump(mode="json"),
        train=short | changed,
        runtime={"device": "cpu"},
    )
    train.run()
    with Path("data/reports/train/epochs.csv").open() as file:
        return read_json(Path("data/reports/train/metrics.json")), list(csv.DictReader(file))


def test_by_default_only_what_always_was_is_reported(project: Path) -> None:
    metrics, epochs = trained()
    assert set(metrics) == {"best_epoch", "dev", "parameters", "peak_lr"}
    assert metrics["peak_lr"] == 0.01
    assert list(epochs[0]) == ["epoch", "loss", "lr", "gradient_norm", "mean_recall", "standard_error", "frr"]
    assert set(metrics["dev"]) == set(epochs[0])


@pytest.mark.parametrize("average_best", [2, 5])
def test_the_average_and_the_weights_are_reported(project: Path, average_best: int) -> None:
    """Of the latest epochs whose recall lies within a standard error of the best, all if there are fewer of them."""
    control = {"target_fah": 100.0, "gain": 1.0}
    metrics, epochs = trained(average_best=average_best, fah_control=control, accumulate=2, schedule="one_cycle")
    average = metrics["average"]
    best = epochs[metrics["best_epoch"] - 1]
    least = float(best["mean_recall"]) - float(best["standard_error"])
    as_good = [int(row["epoch"]) for row in epochs if float(row["mean_recall"]) >= least]
    assert average["epochs"] == as_good[-average_best:] and metrics["best_epoch"] in as_good
    shipped = average["figures"] if average["kept"] else epochs[metrics["best_epoch"] - 1]
    assert metrics["dev"]["mean_recall"] == pytest.approx(float(shipped["mean_recall"]), rel=1e-4)
    weights = [float(row["negative_weight"]) for row in epochs]
    for before, after, row in zip(weights, weights[1:], epochs, strict=False):
        alarms, hours = float(row["false_alarms"]), float(row["hours"])
        assert hours == pytest.approx((SECONDS - 7 * 0.5) / 3600, rel=1e-4)
        assert float(row["fah"]) == pytest.approx(alarms / hours, rel=1e-4)
        expected = before * (alarms + 0.5) / (100.0 * hours + 0.5)
        assert after == pytest.approx(min(max(expected, 0.1), 10.0), rel=1e-3)
    assert weights[0] == 1.0 != weights[1]
    assert load(Path("models/best_model.pt")).phrases == ["a"]
