"""What changes as training goes on, as pure functions of where it is: the learning rate, the weight of other sound."""

import math
from collections.abc import Sequence
from typing import Literal

from wakeword.training.config import FahControlConfig

Schedule = Literal["cosine", "one_cycle", "constant"]

_FIRST, _LAST = 1 / 25, 1 / 25e4  # of the peak, where one cycle starts and ends


def learning_rate(step: int, steps: int, peak: float, schedule: Schedule, warmup_share: float) -> float:
    """Return the rate of a step.

    "cosine" rises linearly to the peak and falls by half a cosine to 0; "constant" rises linearly and stays.
    "one_cycle" rises by half a cosine from 1/25 of the peak and falls by another to 1/250 000 of it (Smith and Topin,
    arXiv:1708.07120; cosines, 1/25 and 1/250 000 as in PyTorch's OneCycleLR, momentum being left alone).

    Args:
        step: from 0.
        steps: of the whole training, all epochs, whether or not early stopping will let it come to them.
        peak: the highest rate.
        schedule: which.
        warmup_share: share of the steps up to the peak.
    """
    rise = round(steps * warmup_share)
    if schedule == "one_cycle":
        top = max(0, rise - 1)
        if step < top:
            return peak * _eased(_FIRST, 1.0, step / top)
        return peak * _eased(1.0, _LAST, (step - top) / max(1, steps - 1 - top))
    if step < rise:
        return peak * (step + 1) / rise
    if schedule == "constant":
        return peak
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def automatic_peak(suggested: float, schedule: Schedule) -> float:
    """Return the peak rate by what a range test suggests: that, or half of it for a rate that stays at its peak.

    Half is the mean of a cosine.
    """
    return suggested / 2 if schedule == "constant" else suggested


def negative_weight(history: Sequence[dict[str, float]], first: float, control: FahControlConfig | None) -> float:
    """Return the weight of other sound in the loss of the next epoch.

    The weight of the last epoch is multiplied by how far the false alarms on dev, at a fixed threshold, were above
    their target, to the power `gain`: an integral controller of the logarithm. Half a false alarm is added to those
    measured and to those aimed at, as in Jeffreys' estimate of a Poisson rate, so that none at all asks for less
    weight only as far as the hours can tell. Within `least` and `most`.

    Args:
        history: of the epochs so far; the last has "negative_weight", "false_alarms" and "hours".
        first: weight of the first epoch, and of all without control.
        control: the rule's parameters.
    """
    if control is None or not history:
        return first
    last = history[-1]
    excess = (last["false_alarms"] + 0.5) / (control.target_fah * last["hours"] + 0.5)
    return min(max(last["negative_weight"] * math.pow(excess, control.gain), control.least), control.most)


def _eased(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * done))
