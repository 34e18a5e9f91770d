"""Two processes that share every batch end where one process ends, and end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from tests.training import share_training
from tests.training.conftest import Cut
from wakeword.base.errors import UserError
from wakeword.features.store import StreamSet
from wakeword.training import distributed
from wakeword.training.config import BatchConfig, PhonemesConfig, TrainConfig

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}


def start(streams: StreamSet, out: Path) -> subprocess.Popen[str]:
    folder = Path(str(streams.all_features.filename)).parent
    command = [sys.executable, str(share_training.__file__), str(folder), str(out)]
    return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize(
    ("out", "taught", "parts"), [("plain", False, 1), ("taught", True, 1), ("halves", True, 2), ("spoken", False, 2)]
)
def test_two_processes_give_the_result_of_one(
    streams: StreamSet, tmp_path: Path, out: str, taught: bool, parts: int
) -> None:
    process = start(streams, tmp_path / out)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    shared = [torch.load(tmp_path / f"{out}.{rank}", weights_only=True) for rank in range(2)]
    folder = Path(str(streams.all_features.filename)).parent
    single = share_training.train(folder, tmp_path / "alone", taught, parts, out == "spoken")
    for name, expected in single.network.state_dict().items():
        assert torch.equal(shared[0]["state"][name], shared[1]["state"][name]), name
        assert torch.allclose(shared[0]["state"][name].float(), expected.float(), rtol=1e-3, atol=1e-5), name
    assert shared[0]["history"] == shared[1]["history"]
    for one, two in zip(single.history, shared[0]["history"], strict=True):
        assert two == pytest.approx(one, rel=1e-3)


def test_machines_that_share_no_disk_go_on_together(streams: StreamSet, tmp_path: Path) -> None:
    folder = Path(str(streams.all_features.filename)).parent
    with pytest.raises(Cut):
        share_training.train(folder, tmp_path / "checkpoints-0", epochs=1)
    process = start(streams, tmp_path / "apart")
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0 and said.count("going on from an interrupted training") >= 1, said
    one, two = (torch.load(tmp_path / f"apart.{rank}", weights_only=True) for rank in range(2))
    whole = share_training.train(folder, tmp_path / "whole")
    assert [row["loss"] for row in one["history"]] == pytest.approx([row["loss"] for row in whole.history], rel=1e-3)
    assert one["history"] == two["history"]
    assert all(torch.equal(one["state"][name], two["state"][name]) for name in one["state"])


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = torch.cuda.device_count()
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(gpus + 1))
    with pytest.raises(UserError, match=rf"which has {gpus} GPUs; lower train\.nproc"):
        distributed.join(torch.device("cuda"), {})


def test_control_c_ends_all_processes(streams: StreamSet, tmp_path: Path) -> None:
    process = start(streams, tmp_path / "wait")
    deadline = time.monotonic() + 120
    try:
        while len(list(tmp_path.glob("*.pid"))) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        pids = [int(file.read_text()) for file in tmp_path.glob("*.pid")]
        assert len(pids) == 2
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "interrupted" in said and "Traceback" not in said, said
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


def test_batches_that_cannot_be_shared_equally_are_refused() -> None:
    TrainConfig(nproc=2, accumulate=3, batches=BatchConfig(size=12))
    for size, nproc, accumulate in ((10, 4, 1), (10, 1, 4), (10, 2, 2)):
        said = rf"batches\.size is 10; with nproc {nproc} and accumulate {accumulate} it must be a multiple of 4"
        with pytest.raises(ValueError, match=said):
            TrainConfig(nproc=nproc, accumulate=accumulate, batches=BatchConfig(size=size))
    with pytest.raises(ValueError, match=r"phonemes\.utterances is 9; with nproc 2 and accumulate 1"):
        TrainConfig(nproc=2, phonemes=PhonemesConfig(utterances=9))
