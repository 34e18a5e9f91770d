"""Train a tiny network in two processes: `python share_training.py STREAMS OUT`.

With OUT "taught" it has a teacher of another stride, with "halves" two micro-batches too, with "spoken" two and what is
said is transcribed, with "wait" it waits to be ended, with "apart" the two see different disks.
"""

import os
import sys
import time
from pathlib import Path

import torch

from tests.training.conftest import BATCHES, FRONTEND, LOSS, MODEL, cut_after, transcribing
from wakeword.base.stage import main
from wakeword.features.cmvn import accumulate
from wakeword.features.store import StreamSet
from wakeword.models.checkpoint import TrainedModel
from wakeword.models.network import Network
from wakeword.training import distributed, loop
from wakeword.training.config import TeacherConfig, TrainConfig
from wakeword.training.distillation import Teacher
from wakeword.training.objective import Objective
from wakeword.training.sampler import WindowSampler

DEVICE = torch.device("cpu")
CONFIG = TrainConfig(epochs=2, steps_per_epoch=4, threads=1, ema_decay=0.9, nproc=2, batches=BATCHES, loss=LOSS)


def built(streams: StreamSet, stride: int) -> Network:
    config = MODEL.model_copy(update={"dropout": 0.0, "stride": stride})
    return Network(config, accumulate([streams.all_features], FRONTEND.fingerprint), FRONTEND.floor, phrases=1)


def train(
    folder: Path, checkpoints: Path, taught: bool = False, parts: int = 1, spoken: bool = False, epochs: int = 99
) -> loop.Training:
    """Train on streams, alone or as one of several processes. Dropout is off: only it may differ between the two.

    Raises:
        Cut: after so many `epochs`, where there are more.
    """
    torch.set_num_threads(1)
    torch.manual_seed(3)
    streams = StreamSet.open(folder, "train")
    network, master = (built(streams, stride) for stride in (2, 3))
    teacher = Teacher([TrainedModel(master, FRONTEND, ["a"], "en", {})], TeacherConfig(files=["a.pt"]), DEVICE)
    sampler = WindowSampler(streams, 1, BATCHES, LOSS, network.receptive_field, network.stride, seed=1)
    objective = Objective(
        sampler, FRONTEND, BATCHES, LOSS, DEVICE, None, teacher=teacher if taught else None, accumulate=parts
    )
    if spoken:
        objective = transcribing(streams, network, parts)

    def judge(candidate: Network) -> dict[str, float]:
        assert distributed.rank() == 0
        return {"mean_recall": candidate.body.head.weight.sum().item(), "frr": 0.0}

    return loop.train(network, objective, cut_after(epochs, judge), CONFIG, 0.01, 1, checkpoints)


def run() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    if not distributed.launched():
        distributed.launch(2, Path(__file__), *sys.argv[1:])
        return
    parts = 2 if out.name in ("halves", "spoken") else 1
    distributed.join(DEVICE, CONFIG.shared_sizes, parts)
    if out.name == "wait":
        (out.parent / f"{distributed.rank()}.pid").write_text(str(os.getpid()))
        time.sleep(120)
    disk = f"checkpoints-{distributed.rank()}" if out.name == "apart" else "checkpoints"
    trained = train(folder, out.parent / disk, out.name in ("taught", "halves"), parts, out.name == "spoken")
    torch.save({"state": trained.network.state_dict(), "history": trained.history}, f"{out}.{distributed.rank()}")
    distributed.leave()


if __name__ == "__main__":
    main("share", run)
