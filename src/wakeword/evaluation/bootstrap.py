"""Resampling whole groups: how much a figure would move with other speakers, voices and sources.

What one speaker says is alike, so single clips are no independent draws; groups are (cluster bootstrap, see Davison and
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).
"""

from collections.abc import Callable, Sequence

import numpy as np

from wakeword.evaluation.intervals import Interval


def group_draws(groups: Sequence[str], resamples: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Draw as many groups as there are, with replacement, again and again.

    Args:
        groups: the group of each item, in any order.

    Returns:
        The names of the groups, sorted, and how often each is drawn, `(resamples, names)` int64.
    """
    names = sorted(set(groups))
    shares = np.full(len(names), 1.0 / max(1, len(names)))
    return names, np.random.default_rng(seed).multinomial(len(names), shares, size=resamples)


def percentile_interval(values: np.ndarray, confidence: float = 0.95) -> Interval | None:
    """Return the middle share of resampled values, `(n,)`; those that are not finite are left out. None of none."""
    kept = values[np.isfinite(values)]
    if not kept.size:
        return None
    tail = 100.0 * (1.0 - confidence) / 2.0
    low, high = np.percentile(kept, [tail, 100.0 - tail])
    return Interval(float(low), float(high))


def bootstrap_figures(
    figures: Callable[[np.ndarray], dict[str, float]], groups: Sequence[str], resamples: int = 300, seed: int = 0
) -> dict[str, list[float] | None]:
    """Return an interval for each figure, over resamples of the groups.

    Args:
        figures: of the indices of items, `(k,)`, repeated as they are drawn; raises ValueError where these allow none.
        groups: the group of each item.
    """
    names, draws = group_draws(groups, resamples, seed)
    place = {name: index for index, name in enumerate(names)}
    of_item = np.array([place[group] for group in groups], dtype=np.int64)
    drawn: dict[str, list[float]] = {}
    for counts in draws:
        try:
            values = figures(np.repeat(np.arange(len(of_item)), counts[of_item]))
        except ValueError:
            continue
        for name, value in values.items():
            drawn.setdefault(name, []).append(value)
    intervals = {name: percentile_interval(np.array(values)) for name, values in drawn.items()}
    return {name: None if interval is None else list(interval) for name, interval in intervals.items()}
