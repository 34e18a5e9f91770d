"""Confidence intervals for the two rates that a detector is judged by."""

import math
from typing import NamedTuple

from scipy import special


class Interval(NamedTuple):
    """A two-sided confidence interval."""

    low: float
    high: float


def poisson_rate(events: int, exposure: float, confidence: float = 0.95) -> Interval:
    """Return the exact interval of a rate of rare events, in events per unit of `exposure` (Garwood, 1936).

    Raises:
        ValueError: `events` is negative or `exposure` is not above 0.
    """
    if events < 0:
        raise ValueError(f"events is {events}; it must not be negative")
    if not (math.isfinite(exposure) and exposure > 0):
        raise ValueError(f"exposure is {exposure}; it must be above 0")
    tail = (1.0 - confidence) / 2.0
    low = float(special.gammaincinv(events, tail)) if events else 0.0
    high = float(special.gammaincinv(events + 1, 1.0 - tail))
    return Interval(low / exposure, high / exposure)


def proportion(successes: float, trials: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of a proportion (Wilson, 1927).

    Args:
        successes: how many of `trials`; a fraction where each trial is itself a share of repetitions.

    Raises:
        ValueError: `trials` is 0, or `successes` is not among 0..`trials`.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no proportion")
    z = float(special.ndtri(1.0 - (1.0 - confidence) / 2.0))
    share = successes / trials
    scale = 1.0 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1.0 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(low, high)


def zero_event_bound(exposure: float) -> float:
    """Return the rate that `exposure` without a single event rules out at 95 %: 3 / exposure (one-sided)."""
    if not (math.isfinite(exposure) and exposure > 0):
        raise ValueError(f"exposure is {exposure}; it must be above 0")
    return 3.0 / exposure
