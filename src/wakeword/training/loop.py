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
from wakeword.training import devices, distributed
from wakeword.training.config import TrainConfig
from wakeword.training.ema import Ema
from wakeword.training.mining import Mined, moments
from wakeword.training.objective import Objective, clip_gradients, optimizer
from wakeword.training.schedule import learning_rate, negative_weight
from wakeword.training.selection import Average, State, as_good, averaged_epochs, best_epoch, mean_state, stalled
from wakeword.training.watching import Watch, seconds_left, system_figures

Judge = Callable[[Network], dict[str, float]]
Miner = Callable[[Network], list[Mined]]


@dataclass(frozen=True)
class Training:
    """What a training gave.

    Attributes:
        network: holds the averaged weights and buffers of the best epoch, or the average of several epochs' if that was
            kept, in evaluation mode, on the CPU.
        best_epoch: its number, from 1.
        average: what became of the average of epochs, or None where none was asked for.
        history: for each epoch its number, loss, learning rate, mean gradient norm and the judge's figures; before
            these the weight of other sound, where that is controlled.
        mined: the false alarms that were found after an epoch, for each round of mining.
    """

    network: Network
    best_epoch: int
    average: Average | None
    history: list[dict[str, float]]
    mined: dict[int, list[Mined]]

    @property
    def kept_epochs(self) -> list[int]:
        """Return the epochs that the network is made of: the best, or those whose average was kept."""
        return self.average.epochs if self.average is not None and self.average.kept else [self.best_epoch]

    @property
    def kept_figures(self) -> dict[str, float]:
        """Return the history's row of the best epoch, or the judge's figures of the average if that was kept."""
        kept = self.average is not None and self.average.kept
        return self.average.figures if self.average is not None and kept else self.history[self.best_epoch - 1]


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
        judge: figures of a network on the dev streams; the epoch with the highest "mean_recall" is the best, ties
            going to the lower "frr", then to the later epoch. For an average, the "standard_error" of "mean_recall"
            too, and for `fah_control` "false_alarms" and "hours".
        config: the `train` section.
        lr: peak learning rate.
        seed: of what the network itself draws (dropout).
        checkpoints: folder that belongs to exactly this run (its name fingerprints data, parameters and code);
            removed when training is done.
        mine: finds the false alarms of a network on the training streams; they are fed back until the next round.
        watch: shown the history and the system figures of all epochs so far, after each and when going on.

    Raises:
        UserError: the loss is no longer a number, or `config` asks for a compiler and there is none.
    """
    steps = config.epochs * config.steps_per_epoch
    learner = objective.learner(network)
    parallel = distributed.parallel(learner)
    if config.compile:
        devices.compile_forward(network)
    update = optimizer(learner, config.optimizer, lr)
    # Only float16 needs its gradients scaled; disabled, the scaler passes everything through.
    scaler = torch.GradScaler(objective.device.type, enabled=objective.dtype == torch.float16)
    ema = Ema(network, config.ema_decay)
    history: list[dict[str, float]] = []
    system: list[dict[str, float]] = []
    states: dict[int, State] = {}  # of the epochs that may yet be chosen, by number
    mined: dict[int, list[Mined]] = {}

    latest = checkpoints / "latest.pt"
    stateful: dict[str, Any] = {"learner": learner, "ema": ema.network, "optimizer": update, "scaler": scaler}
    # The first process's checkpoint is everyone's: other machines have none. It is read to the CPU, as each part copies
    # what it loads to where it lives, but for AdamW's count of steps, which is read at every step.
    if saved := distributed.from_first(partial(_load, latest)):
        for name, part in stateful.items():
            part.load_state_dict(saved[name])
        ema.updates, history, system = (saved[name] for name in ("ema_updates", "history", "system"))
        states = {
            epoch: {name: tensor.to(objective.device) for name, tensor in state.items()}
            for epoch, state in saved["states"].items()
        }
        mined = {epoch: [Mined(**alarm) for alarm in found] for epoch, found in saved["mined"].items()}
        if mined:
            objective.feed_back(moments(mined[max(mined)]), config.mining.share)
        log.info("going on from an interrupted training", epoch=len(history), of=config.epochs)
        if watch is not None:
            watch(history, system)
    begun, done_before = time.monotonic(), len(history)

    def beside_bar() -> dict[str, float]:
        """Return what stands beside the bar of the epoch that runs; reading a sum waits for the GPU: not each step."""
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

    while not _over(history, config):
        epoch = len(history)
        torch.manual_seed((seed * 1_000_003 + epoch + distributed.rank() * 100_003) % 2**63)
        learner.train()
        objective.negative_weight = negative_weight(history, config.loss.negative_weight, config.fah_control)
        first, started = epoch * config.steps_per_epoch, time.monotonic()
        loss_sum = norm_sum = torch.zeros((), device=objective.device)
        what, coming = f"steps of epoch {epoch + 1}/{config.epochs}", range(first, first + config.steps_per_epoch)
        for step in log.progress(coming, len(coming), what, beside_bar):
            rate = learning_rate(step, steps, lr, config.schedule, config.warmup_share)
            for group in update.param_groups:
                group["lr"] = rate
            objective.progress = step / steps
            loss = objective.backward(parallel, step, scaler.scale)
            scaler.unscale_(update)
            norm = clip_gradients(learner, config.optimizer.clip_norm)
            scaler.step(update)
            scaler.update()
            update.zero_grad()
            ema.update(network)
            loss_sum, norm_sum = loss_sum + loss, norm_sum + norm.nan_to_num(0.0, 0.0, 0.0)
        mean_loss = loss_sum.item() / config.steps_per_epoch
        if not math.isfinite(mean_loss):
            raise UserError(
                f"the training loss became {mean_loss} in epoch {epoch + 1}; lower train.lr (it was {lr:g})"
            )
        seconds = time.monotonic() - started
        of_machine = system_figures(objective.device, config.steps_per_epoch, seconds)
        of_machine |= objective.input_figures(seconds)
        system.append({"epoch": epoch + 1} | of_machine)
        log.info("system", **{name: _short(value) for name, value in of_machine.items()})
        row = {
            "epoch": epoch + 1,
            "loss": mean_loss,
            "lr": rate,
            "gradient_norm": norm_sum.item() / config.steps_per_epoch,
        }
        if config.fah_control is not None:
            row["negative_weight"] = objective.negative_weight
        history.append(row | distributed.from_first(partial(judge, ema.network)))
        left = seconds_left(time.monotonic() - begun, epoch + 1 - done_before, config.epochs - done_before)
        told = {name: _short(value) for name, value in history[-1].items()}
        log.info(f"epoch {epoch + 1}/{config.epochs}", **told, left_s=left)
        states[epoch + 1] = {name: tensor.detach().clone() for name, tensor in ema.network.state_dict().items()}
        states = {number: states[number] for number in sorted({best_epoch(history), *_averaged(history, config)})}
        if mine is not None and config.mining.due(epoch + 1) and not _over(history, config):
            mined[epoch + 1] = distributed.from_first(partial(mine, ema.network))
            objective.feed_back(moments(mined[epoch + 1]), config.mining.share)
            log.info("mined the training streams", false_alarms=len(mined[epoch + 1]))
        plain = {epoch: [asdict(alarm) for alarm in found] for epoch, found in mined.items()}
        done = {"ema_updates": ema.updates, "history": history, "system": system, "states": states, "mined": plain}
        _save(latest, {name: part.state_dict() for name, part in stateful.items()} | done)
        if watch is not None:
            watch(history, system)

    if len(history) < config.epochs:
        log.info("stopped early, for want of a better epoch", after=len(history), of=config.epochs)
    chosen, alone = ema.network, best_epoch(history)
    averaged = {epoch: states[epoch] for epoch in _averaged(history, config)}
    average = _average(chosen, averaged, history[alone - 1], judge) if averaged else None
    if average is None or not average.kept:
        chosen.load_state_dict(states[alone])
    return Training(chosen.cpu().eval(), alone, average, history, mined)


def forget(checkpoints: Path) -> None:
    """Remove the checkpoints of a training whose model has been written."""
    shutil.rmtree(checkpoints, ignore_errors=True)


def _short(value: float) -> float:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _over(history: list[dict[str, float]], config: TrainConfig) -> bool:
    """Say whether training is at its end; the history alone decides, so that an interruption changes nothing."""
    early = config.early_stopping
    return len(history) == config.epochs or (early is not None and stalled(history, early.patience))


def _averaged(history: list[dict[str, float]], config: TrainConfig) -> list[int]:
    """Return the epochs whose average is judged; none where none is asked for."""
    return averaged_epochs(history, config.average_best) if config.average_best > 1 else []


def _average(network: Network, states: dict[int, State], best_alone: dict[str, float], judge: Judge) -> Average:
    """Load the average of some epochs' states into a network, and judge it.

    Args:
        best_alone: the judge's figures of the best epoch.
    """
    network.load_state_dict(mean_state(list(states.values())))
    figures = distributed.from_first(partial(judge, network))
    average = Average(list(states), figures, kept=as_good(figures, best_alone))
    shown = {name: _short(value) for name, value in figures.items()}
    log.info("average of epochs", epochs=average.epochs, kept=average.kept, **shown)
    return average


def _load(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint, or None where there is none or only a damaged one, which is said."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
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
