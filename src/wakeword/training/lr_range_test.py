"""The learning-rate range test of Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186)."""

import bisect
import copy
import math
from dataclasses import dataclass

import numpy as np
import torch

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.models.network import Network
from wakeword.training.config import FindLrConfig, OptimizerConfig
from wakeword.training.objective import Objective, clip_gradients, optimizer

_LEFT_OF_FALL = 0.2
_HARDLY_FALLEN = 0.9


@dataclass(frozen=True)
class LrRangeTest:
    """The sweep and what it suggests.

    Attributes:
        rates, losses, smoothed: `(steps,)`, up to where the sweep ended.
        steepest: the rate at which the smoothed loss falls fastest.
        valley: the rate in the middle of the longest descent.
        knee: the rate at which most of the fall is done (see `suggest`): the one that training takes.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    steepest: float
    valley: float
    knee: float


def run(
    network: Network, objective: Objective, optimizer_config: OptimizerConfig, config: FindLrConfig, seed: int
) -> LrRangeTest:
    """Sweep the rate upwards over real training steps, on a copy of the network.

    The network, the global random state and every optimizer are left as they were.

    Raises:
        UserError: the loss diverged before anything could be seen.
    """
    rates = np.geomspace(config.start, config.end, config.steps)
    losses: list[float] = []
    devices = [objective.device] if objective.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        trial = objective.learner(copy.deepcopy(network)).train()
        update = optimizer(trial, optimizer_config, config.start)
        for step in log.progress(range(config.steps), config.steps, "steps"):
            for group in update.param_groups:
                group["lr"] = float(rates[step])
            losses.append(float(objective.backward(trial, step)))
            smoothed = smooth(np.array(losses), config.smoothing)
            if not math.isfinite(losses[-1]) or smoothed[-1] > config.diverged * smoothed.min():
                break
            clip_gradients(trial, optimizer_config.clip_norm)
            update.step()
            update.zero_grad()
    seen = np.array(losses)
    seen = seen[np.isfinite(seen)]
    if len(seen) < 10:
        raise UserError(f"the loss diverged after {len(seen)} steps; lower find_lr.start (it is {config.start:g})")
    smoothed = smooth(seen, config.smoothing)
    fall = _fall(_settled(smoothed))
    if fall[-1] > _HARDLY_FALLEN * fall[0]:
        log.warning(
            "the loss hardly falls at any rate, so that the suggestions mean little; set train.lr to a number, or "
            "raise find_lr.steps",
            left=f"{fall[-1] / fall[0]:.2f}",
        )
    return LrRangeTest(rates[: len(seen)], seen, smoothed, *suggest(rates[: len(seen)], smoothed))


def smooth(losses: np.ndarray, past: float) -> np.ndarray:
    """Return the exponential moving average of `(n,)` losses, corrected for its start at 0 as in Adam."""
    average, smoothed = 0.0, np.empty(len(losses))
    for index, loss in enumerate(losses):
        average = past * average + (1.0 - past) * loss
        smoothed[index] = average / (1.0 - past ** (index + 1))
    return smoothed


def suggest(rates: np.ndarray, smoothed: np.ndarray) -> tuple[float, float, float]:
    """Return the rates of steepest descent, the valley and the knee, from `(n,)` rising rates and smoothed losses.

    The first tenth is left out: there, the running average has hardly anything to average yet. Steepest descent is
    looked for over the logarithm of the rate, up to the lowest loss. The valley is the middle of the longest descent,
    as in fastai's `lr_find`; losses in between that are higher don't end it, or noise would decide where it lies. The
    knee is where the loss has done four fifths of its fall from the highest to the lowest, as ratios: a loss that falls
    slowly from the very first rates on drags the middle of the descent down with it, but not its end, and one that
    starts ten times too high, as that of telling phonemes does, must still come near to its lowest.
    """
    rates, smoothed = _settled(rates), _settled(smoothed)
    lowest = max(2, int(np.argmin(smoothed)))
    slope = np.gradient(smoothed[: lowest + 1], np.log(rates[: lowest + 1]))
    descent = longest_descent(smoothed)
    valley = rates[(descent[0] + descent[-1]) // 2]
    fall = np.log(np.maximum(_fall(smoothed), np.finfo(float).tiny))
    highest = int(np.argmin(smoothed)) + 1 - len(fall)
    knee = rates[highest + int(np.argmax(fall <= fall[-1] + _LEFT_OF_FALL * (fall[0] - fall[-1])))]
    return float(rates[int(np.argmin(slope))]), float(valley), float(knee)


def _settled(values: np.ndarray) -> np.ndarray:
    return values[len(values) // 10 :]


def _fall(smoothed: np.ndarray) -> np.ndarray:
    """Return the losses from the highest before the lowest on, to the lowest."""
    until = smoothed[: int(np.argmin(smoothed)) + 1]
    return until[int(np.argmax(until)) :]


def longest_descent(values: np.ndarray) -> list[int]:
    """Return the positions of a longest sequence of ever lower values, those between them left out.

    Args:
        values: `(n,)`, at least one.
    """
    # For each length, the position and the value (negated, so that they rise) of the highest end of such a sequence.
    ends: list[int] = []
    negated: list[float] = []
    before: list[int] = []
    for position, value in enumerate(values):
        length = bisect.bisect_left(negated, -value)
        before.append(ends[length - 1] if length else -1)
        ends[length : length + 1] = [position]
        negated[length : length + 1] = [-value]
    found = [ends[-1]]
    while before[found[-1]] >= 0:
        found.append(before[found[-1]])
    return found[::-1]
