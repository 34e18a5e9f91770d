"""The training loop: steps, a running average, a judgement each epoch, the best kept, and exact resumption."""

import io
import math
import pickle
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import write_bytes
from wakeword.models.network import Network
from wakeword.training import distributed
from wakeword.training.config import TrainConfig
from wakeword.training.ema import Ema
from wakeword.training.mining import Mined, moments
from wakeword.training.objective import Objective, optimizer
from wakeword.training.watching import Watch, seconds_left, system_figures

Judge = Callable[[Network], dict[str, float]]
Miner = Callable[[Network], list[Mined]]


@dataclass(frozen=True)
class Training:
    """What a training gave.

    Attributes:
        network: holds the averaged weights and buffers of the best epoch, in evaluation mode, on the CPU.
        best_epoch: its number, from 1.
        history: for each epoch its number, loss, learning rate, mean gradient norm and the judge's figures.
        mined: the false alarms that were found after an epoch, for each round of mining.
    """

    network: Network
    best_epoch: int
    history: list[dict[str, float]]
    mined: dict[int, list[Mined]]


def learning_rate(step: int, steps: int, peak: float, warmup_share: float) -> float:
    """Return the rate of a step: linear up to the peak, then half a cosine down to 0.

    Args:
        step: from 0.
        steps: of the whole training.
        peak: the highest rate.
        warmup_share: share of the steps before the peak.
    """
    warmup = round(steps * warmup_share)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def train(
    network: Network,
    objective: Objective,
    judge: Judge,
    config: TrainConfig,
    lr: float,
    seed: int,
    checkpoints: Path,
    mine: Miner | None = None,
    watch: Watch | None = None,
) -> Training:
    """Train a network, going on from the last checkpoint if an earlier run was interrupted.

    Args:
        network: freshly built, on the device to train on; where several processes train, the same in all.
        objective: the loss of any step.
        judge: figures of a network on the dev streams; the epoch with the highest "mean_recall" is kept, ties
            going to the lower "frr", then to the later epoch.
        config: the `train` section.
        lr: peak learning rate.
        seed: of what the network itself draws (dropout).
        checkpoints: folder that belongs to exactly this run (its name fingerprints data, parameters and code);
            removed when training is done.
        mine: finds the false alarms of a network on the training streams; they are fed back until the next round.
        watch: shown the history and the system figures of all epochs so far, after each and when going on.

    Raises:
        UserError: the loss is no longer a number.
    """
    steps = config.epochs * config.steps_per_epoch
    parallel = distributed.parallel(network)
    update = optimizer(network, config.optimizer, lr)
    # Only float16 needs its gradients scaled; disabled, the scaler passes everything through.
    scaler = torch.GradScaler(objective.device.type, enabled=objective.dtype == torch.float16)
    ema = Ema(network, config.ema_decay)
    history: list[dict[str, float]] = []
    system: list[dict[str, float]] = []
    best: dict[str, Any] = {"epoch": 0, "state": None}
    mined: dict[int, list[Mined]] = {}

    latest = checkpoints / "latest.pt"
    if saved := _load(latest, objective.device):
        network.load_state_dict(saved["network"])
        ema.network.load_state_dict(saved["ema"])
        ema.updates = saved["ema_updates"]
        update.load_state_dict(saved["optimizer"])
        scaler.load_state_dict(saved["scaler"])
        history, system, best = saved["history"], saved["system"], saved["best"]
        mined = {epoch: [Mined(**alarm) for alarm in found] for epoch, found in saved["mined"].items()}
        if mined:
            objective.feed_back(moments(mined[max(mined)]), config.mining.share)
        log.info("going on from an interrupted training", epoch=len(history), of=config.epochs)
        if watch is not None:
            watch(history, system)
    begun, done_before = time.monotonic(), len(history)

    def beside_bar() -> dict[str, float]:
        """Reading the loss waits for the GPU, so this is for now and then."""
        taken = step + 1 - first
        done = epoch - done_before + taken / config.steps_per_epoch
        last = {name: _short(history[-1][name]) for name in ("mean_recall", "frr")} if history else {}
        return {
            "left_s": seconds_left(time.monotonic() - begun, done, config.epochs - done_before),
            "loss": _short(loss_sum.item() / taken),
            **last,
            "lr": _short(rate),
            "gradient_norm": _short(norm_sum.item() / taken),
        }

    for epoch in range(len(history), config.epochs):
        torch.manual_seed(seed * 1_000_003 + epoch + distributed.rank() * 100_003)
        network.train()
        first, started = epoch * config.steps_per_epoch, time.monotonic()
        loss_sum = norm_sum = torch.zeros((), device=objective.device)
        what, coming = f"steps of epoch {epoch + 1}/{config.epochs}", range(first, first + config.steps_per_epoch)
        for step in log.progress(coming, len(coming), what, beside_bar):
            rate = learning_rate(step, steps, lr, config.warmup_share)
            for group in update.param_groups:
                group["lr"] = rate
            loss = objective(parallel, step)
            scaler.scale(loss).backward()
            scaler.unscale_(update)
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), config.optimizer.clip_norm)
            scaler.step(update)
            scaler.update()
            update.zero_grad()
            ema.update(network)
            loss_sum, norm_sum = loss_sum + loss.detach(), norm_sum + norm.nan_to_num(0.0, 0.0, 0.0)
        mean_loss = loss_sum.item() / config.steps_per_epoch
        if not math.isfinite(mean_loss):
            raise UserError(
                f"the training loss became {mean_loss} in epoch {epoch + 1}; lower train.lr (it was {lr:g})"
            )
        seconds = time.monotonic() - started
        figures = system_figures(objective.device, config.steps_per_epoch, seconds) | objective.input_figures(seconds)
        system.append({"epoch": epoch + 1} | figures)
        log.info("system", **{name: _short(value) for name, value in figures.items()})
        figures = distributed.from_first(partial(judge, ema.network))
        row = {
            "epoch": epoch + 1,
            "loss": mean_loss,
            "lr": rate,
            "gradient_norm": norm_sum.item() / config.steps_per_epoch,
        }
        history.append(row | figures)
        left = seconds_left(time.monotonic() - begun, epoch + 1 - done_before, config.epochs - done_before)
        told = {name: _short(value) for name, value in history[-1].items()}
        log.info(f"epoch {epoch + 1}/{config.epochs}", **told, left_s=left)
        if best["state"] is None or _rank(history[-1]) >= _rank(history[best["epoch"] - 1]):
            best = {"epoch": epoch + 1, "state": {k: v.detach().clone() for k, v in ema.network.state_dict().items()}}
        if mine is not None and config.mining.due(epoch + 1, config.epochs):
            mined[epoch + 1] = distributed.from_first(partial(mine, ema.network))
            objective.feed_back(moments(mined[epoch + 1]), config.mining.share)
            log.info("mined the training streams", false_alarms=len(mined[epoch + 1]))
        _save(
            latest,
            {
                "network": network.state_dict(),
                "ema": ema.network.state_dict(),
                "ema_updates": ema.updates,
                "optimizer": update.state_dict(),
                "scaler": scaler.state_dict(),
                "history": history,
                "system": system,
                "best": best,
                "mined": {epoch: [asdict(alarm) for alarm in found] for epoch, found in mined.items()},
            },
        )
        if watch is not None:
            watch(history, system)

    chosen = ema.network
    chosen.load_state_dict(best["state"])
    return Training(chosen.cpu().eval(), best["epoch"], history, mined)


def forget(checkpoints: Path) -> None:
    """Remove the checkpoints of a training whose model has been written."""
    shutil.rmtree(checkpoints, ignore_errors=True)


def _short(value: float) -> float:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _rank(row: dict[str, float]) -> tuple[float, float]:
    return row["mean_recall"], -row["frr"]


def _load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """Return a checkpoint, or None where there is none or only a damaged one, which is said."""
    try:
        return torch.load(path, map_location=device, weights_only=True)  # type: ignore[no-any-return]
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as failure:
        log.warning(f"cannot read the checkpoint {path} ({failure}); training starts afresh")
        return None


def _save(path: Path, content: dict[str, Any]) -> None:
    if distributed.rank() > 0:
        return
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())
