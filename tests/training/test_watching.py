"""Watching a training: the time left, what it took of the machine, and plots that DVC shows while it runs."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from wakeword.base.errors import UserError
from wakeword.training import watching

ROOT = Path(__file__).resolve().parents[2]
HISTORY = [{"epoch": n, "loss": 1.0 / n, "mean_recall": 0.2 * n, "frr": 1.0 - 0.2 * n} for n in (1, 2, 3)]
SYSTEM = [{"epoch": n, "steps_per_s": 10.0 + n} for n in (1, 2, 3)]


def plotted(folder: Path, name: str) -> list[tuple[int, float]]:
    with (folder / "plots" / "metrics" / f"{name}.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [(int(row["step"]), float(row[name.rpartition("/")[2]])) for row in rows]


def test_the_time_left_goes_by_the_epochs_that_are_done() -> None:
    assert watching.seconds_left(60.0, 2.0, 10.0) == 240
    assert watching.seconds_left(15.0, 0.5, 1.0) == 15
    assert watching.seconds_left(60.0, 3.0, 3.0) == 0


def test_memory_is_what_the_process_had_at_most() -> None:
    cpu, process = torch.device("cpu"), psutil.Process()
    before = watching.system_figures(cpu, 30, 2.0)
    assert before["steps_per_s"] == 15.0 and "gpu_memory_mb" not in before
    free = before["memory_mb"] * 2**20 - process.memory_info().rss
    block = np.ones(int(free) + 64 * 2**20, dtype=np.uint8)
    held = process.memory_info().rss / 2**20
    del block
    after = watching.system_figures(cpu, 30, 2.0)["memory_mb"]
    assert after > before["memory_mb"] + 32 and after >= held - 1


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STUDIO_OFFLINE", "true")  # whoever runs the tests may be logged in there
    return Path("dvclive")


def test_a_training_that_was_cut_off_is_plotted_as_if_it_had_not_been(in_folder: Path) -> None:
    with watching.live(in_folder) as watch:
        for done in (1, 2):
            watch(HISTORY[:done], SYSTEM[:done])
    # Killed after the second epoch was shown but before it was kept: it is done again.
    with watching.live(in_folder) as watch:
        for done in (1, 2, 3):
            watch(HISTORY[:done], SYSTEM[:done])
    assert plotted(in_folder, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert plotted(in_folder, "system/steps_per_s") == [(1, 11.0), (2, 12.0), (3, 13.0)]
    assert json.loads((in_folder / "metrics.json").read_text())["step"] == 3
    # Killed after both were kept: they are shown at once.
    with watching.live(in_folder) as watch:
        watch(HISTORY[:2], SYSTEM[:2])
        watch(HISTORY, SYSTEM)
    assert plotted(in_folder, "frr") == [(row["epoch"], row["frr"]) for row in HISTORY]


def test_dvc_shows_a_training_while_it_runs_and_git_never_sees_it(in_folder: Path) -> None:
    def run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dvc(*arguments: str) -> Any:
        return json.loads(run(sys.executable, "-m", "dvc", *arguments, "--json"))

    Path(".gitignore").write_text((ROOT / ".gitignore").read_text())
    Path(".dvcignore").write_text((ROOT / ".dvcignore").read_text())
    run("git", "init", "--quiet")
    run(sys.executable, "-m", "dvc", "init", "--quiet")
    run("git", "add", "--all")
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message", "start")
    with pytest.raises(KeyboardInterrupt), watching.live(in_folder) as watch:
        watch(HISTORY[:2], SYSTEM[:2])
        shown = dvc("plots", "show")["data"]["dvclive/plots/metrics/mean_recall.tsv"]
        points = shown[0]["content"]["data"]["values"]
        assert [(point["step"], point["mean_recall"]) for point in points] == [("1", "0.2"), ("2", "0.4")]
        assert dvc("metrics", "show")[""]["data"]["dvclive/metrics.json"]["data"]["loss"] == 0.5
        raise KeyboardInterrupt
    assert run("git", "status", "--porcelain") == ""
    assert plotted(in_folder, "loss") == [(1, 1.0), (2, 0.5)]


def test_without_the_package_it_says_what_to_install(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "dvclive.live", raising=False)
    monkeypatch.setitem(sys.modules, "dvclive", None)
    told = r"runtime\.live is true, .*pip install 'wakeword\[live\]'"
    with pytest.raises(UserError, match=told), watching.live(in_folder):
        pass
