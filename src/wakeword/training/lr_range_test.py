"""The learning-rate range test of Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186)."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.models.network import Network
from wakeword.training.config import FindLrConfig, OptimizerConfig
from wakeword.training.objective import Objective, optimizer


@dataclass(frozen=True)
class LrRangeTest:
    """The sweep and what it suggests.

    Attributes:
        rates, losses, smoothed: `(steps,)`, up to where the sweep ended.
        steepest: the rate at which the smoothed loss falls fastest.
        valley: the rate two thirds along the longest descent.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    steepest: float
    valley: float


def run(
    network: Network, objective: Objective, optimizer_config: OptimizerConfig, config: FindLrConfig, seed: int
) -> LrRangeTest:
    """Sweep the rate upwards over real training steps, on a copy of the network.

    The network, the global random state and every optimizer are left as they were.

    Raises:
        UserError: the loss diverged before anything could be seen.
    """
    trial = copy.deepcopy(network).train()
    update = optimizer(trial, optimizer_config, config.start)
    rates = np.geomspace(config.start, config.end, config.steps)
    losses: list[float] = []
    devices = [objective.device] if objective.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for step in log.progress(range(config.steps), config.steps, "steps"):
            for group in update.param_groups:
                group["lr"] = float(rates[step])
            loss = objective(trial, step)
            losses.append(float(loss.detach()))
            smoothed = smooth(np.array(losses), config.smoothing)
            if not math.isfinite(losses[-1]) or smoothed[-1] > config.diverged * smoothed.min():
                break
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trial.parameters(), optimizer_config.clip_norm)
            update.step()
            update.zero_grad()
    seen = np.array(losses)
    seen = seen[np.isfinite(seen)]
    if len(seen) < 10:
        raise UserError(f"the loss diverged after {len(seen)} steps; lower find_lr.start (it is {config.start:g})")
    smoothed = smooth(seen, config.smoothing)
    steepest, valley = suggest(rates[: len(seen)], smoothed)
    return LrRangeTest(rates[: len(seen)], seen, smoothed, steepest, valley)


def smooth(losses: np.ndarray, past: float) -> np.ndarray:
    """Return the exponential moving average of `(n,)` losses, corrected for its start at 0 as in Adam."""
    average, smoothed = 0.0, np.empty(len(losses))
    for index, loss in enumerate(losses):
        average = past * average + (1.0 - past) * loss
        smoothed[index] = average / (1.0 - past ** (index + 1))
    return smoothed


def suggest(rates: np.ndarray, smoothed: np.ndarray) -> tuple[float, float]:
    """Return the rates of steepest descent and of the valley, from `(n,)` rising rates and smoothed losses.

    Steepest descent is looked for over the logarithm of the rate, up to the lowest loss and without the first tenth,
    where the running average has hardly anything to average yet. The valley is the point
    two thirds along the longest unbroken descent, which is not drawn to a single noisy dip.
    """
    settled = len(rates) // 10
    lowest = max(settled + 2, int(np.argmin(smoothed)))
    slope = np.gradient(smoothed[: lowest + 1], np.log(rates[: lowest + 1]))
    best_start = best_length = start = 0
    for index in range(1, len(smoothed) + 1):
        if index == len(smoothed) or smoothed[index] >= smoothed[index - 1]:
            if index - start > best_length:
                best_start, best_length = start, index - start
            start = index
    valley = rates[best_start + (2 * best_length) // 3 - (best_length > 1)]
    return float(rates[settled + int(np.argmin(slope[settled:]))]), float(valley)
