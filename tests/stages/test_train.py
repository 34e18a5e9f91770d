"""Training through its stage: killed at any write and run again, it gives the bytes of a run that nothing stopped."""

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.stages import kill_at_writes, tiny_training
from tests.stages.running import command, environment

OUTS = ("models", "data/mined.json", "data/reports/train")


def outs(project: Path) -> dict[str, bytes]:
    paths = [path for name in OUTS for path in [project / name, *(project / name).rglob("*")] if path.is_file()]
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}


def epochs(path: Path, column: str, delimiter: str) -> list[int]:
    with path.open(newline="") as file:
        return [int(row[column]) for row in csv.DictReader(file, delimiter=delimiter)]


def test_a_training_that_is_killed_at_every_write_gives_the_same_bytes(tmp_path: Path) -> None:
    # The killed one is shown live too, which must not change a byte either.
    whole, killed = tiny_training.make(tmp_path / "whole"), tiny_training.make(tmp_path / "killed", live=True)
    arguments = [str(kill_at_writes.__file__), command("train")[1], str(whole), str(killed)]
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment(DVC_STUDIO_OFFLINE="true"),
        capture_output=True,
        text=True,
        check=False,
    )
    first, *others, last = (int(line) for line in done.stdout.split())
    assert first == last == 0 and set(others) == {-signal.SIGKILL}, done.stderr
    # Before the first checkpoint was there, before the second, before the third, and when the outs were written.
    went_on = re.findall(r"going on from an interrupted training  epoch=(\d)", done.stderr)
    assert set(went_on) == {"1", "2", "3"} and len(went_on) < len(others)
    assert "cannot read the checkpoint" not in done.stderr
    expected = outs(whole)
    assert {"models/best_model.pt", "data/mined.json", "data/reports/train/epochs.csv"} <= set(expected)
    assert outs(killed) == expected
    assert not list(killed.rglob("*.partial")) and not list((killed / ".cache/checkpoints").iterdir())
    assert epochs(killed / ".cache/train_system.csv", "epoch", ",") == [1, 2, 3]
    assert epochs(killed / "dvclive/plots/metrics/loss.tsv", "step", "\t") == [1, 2, 3]
    assert not (whole / "dvclive").exists() and not (killed / "dvclive/dvc.yaml").exists()
