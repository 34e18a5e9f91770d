"""Choosing the detector's policy on dev for a target false-alarm rate, and the file that freezes the choice."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from wakeword.base import files
from wakeword.base.errors import UserError
from wakeword.detection.policy import Policy
from wakeword.evaluation.config import EvaluateConfig
from wakeword.evaluation.intervals import poisson_rate
from wakeword.evaluation.metrics import DetCurve, Keyword, det_curve, frr_at_fah, mean_recall, measure, support


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The policy chosen on dev for one phrase, and on what grounds.

    Attributes:
        policy: what ships.
        target_fah: the false alarms an hour that were asked for.
        reached: whether the policy finds keywords on dev with a FAH of at most `target_fah`.
        supported: whether dev has hours enough to show such a FAH.
        statement: how sure the choice is, in words.
        dev: the policy's figures on dev, as `Tally.figures`.
    """

    policy: Policy
    target_fah: float
    reached: bool
    supported: bool
    statement: str
    dev: Mapping[str, Any]


def choose(
    phrase: str,
    streams: Iterable[tuple[np.ndarray, Sequence[Keyword], float]],
    config: EvaluateConfig,
    frame_shift_ms: float,
) -> OperatingPoint:
    """Choose the policy of highest recall on dev whose FAH is at most `config.target_fah`.

    Every pair of `config.smoothing_frames` and `config.votes` is tried. Fewest misses win, then the higher mean recall
    over 0 to 2 FAH, then what `config` lists first. The threshold is put midway between the one at which the last
    accepted event appears and the next lower one at which any count changes: the figures on dev are the same all the
    way, and the margin is equal on both sides. Where no threshold reaches the target, the fewest false alarms with
    which any keyword is found are taken, and the returned statement says so.

    Args:
        phrase: for messages.
        streams: dev, as `ScoredStream`.

    Raises:
        UserError: dev holds no keyword of the phrase, or no time outside keywords.
    """
    streams = list(streams)
    if not any(len(stream[1]) for stream in streams):
        raise UserError(f"the dev streams hold no '{phrase}'; add recordings of it by more speakers and split again")
    candidates: list[tuple[tuple[float, ...], int, Policy, DetCurve]] = []
    for smoothing in config.smoothing_frames:
        for votes in config.votes:
            shape = Policy(1.0, config.release_ratio, smoothing, votes.needed, votes.of, config.refractory_ms)
            try:
                curve = det_curve(streams, shape, frame_shift_ms, config.tolerance_ms, config.max_fah)
            except ValueError as failure:
                raise UserError(f"dev streams of '{phrase}': {failure}; lengthen the streams") from failure
            candidates.append((_rank(curve, config.target_fah), len(candidates), shape, curve))
    _, _, shape, curve = min(candidates, key=lambda candidate: candidate[:2])
    index, reached = _pick(curve, config.target_fah)
    low, high = _gap(curve, index)
    threshold = _between(low, high)
    policy = Policy(
        threshold,
        threshold * config.release_ratio,
        shape.smoothing_frames,
        shape.votes,
        shape.votes_window,
        shape.refractory_ms,
    )
    dev = measure(streams, policy, frame_shift_ms, config.tolerance_ms)
    supported, statement = support(dev.hours, config.target_fah)
    grounds = [f"dev's {statement}", f"the same counts hold from {low:.6g} (excluded) to {high:.6g}"]
    if index is None:
        quiet = f"still fires {dev.false_alarms} times by mistake" if dev.false_alarms else "only keeps quiet"
        grounds.insert(0, f"no threshold finds a keyword on dev at FAH ≤ {config.max_fah:g}: this one {quiet}")
    elif not reached:
        fah, (low, high) = dev.false_alarms / dev.hours, poisson_rate(dev.false_alarms, dev.hours)
        grounds.insert(
            0,
            f"no threshold reaches FAH ≤ {config.target_fah:g} on dev: this one has {fah:.3g} [{low:.3g}, {high:.3g}]",
        )
    return OperatingPoint(policy, config.target_fah, reached, supported, "; ".join(grounds), dev.figures())


def _pick(curve: DetCurve, target_fah: float) -> tuple[int | None, bool]:
    """Return the index of the point to take, None if none finds a keyword, and whether it reaches the target."""
    index = frr_at_fah(curve, target_fah).index
    if index is not None:
        return index, True
    finding = np.flatnonzero(curve.misses < curve.keywords)
    if not finding.size:
        return None, False
    order = np.lexsort((finding, curve.misses[finding], curve.false_alarms[finding]))
    return int(finding[order[0]]), False


def _rank(curve: DetCurve, target_fah: float) -> tuple[float, ...]:
    """Return what is smaller the better the curve is at the target."""
    index, reached = _pick(curve, target_fah)
    recall = mean_recall(curve, min(2.0, curve.max_fah))
    if index is None:
        return 2.0, 0.0, 0.0, -recall
    alarms = 0.0 if reached else float(curve.false_alarms[index])
    return 0.0 if reached else 1.0, alarms, float(curve.misses[index]), -recall


def _gap(curve: DetCurve, index: int | None) -> tuple[float, float]:
    """Return the thresholds (excluded, included) between which the counts are those of a point of the curve."""
    if index is None:
        low = float(curve.threshold[0]) if len(curve.threshold) else curve.floor
        return low, 1.0
    low = float(curve.threshold[index + 1]) if index + 1 < len(curve.threshold) else curve.floor
    return low, float(curve.threshold[index])


def _between(low: float, high: float) -> float:
    """Return the number of fewest decimals in the middle half of (low, high], or `high` if that takes more than 11."""
    middle, margin = (low + high) / 2, (high - low) / 4
    for decimals in range(1, 12):
        candidate = round(middle, decimals)
        if margin > 0 and low + margin <= candidate <= high - margin:
            return candidate
    return high


def write(path: Path, points: Mapping[str, OperatingPoint]) -> None:
    """Write `{phrase: {threshold, release, smoothing_frames, ..., dev, ...}}` as JSON, thresholds in full precision."""
    document = {}
    for phrase, point in points.items():
        notes = {field.name: getattr(point, field.name) for field in fields(point) if field.name != "policy"}
        document[phrase] = {**asdict(point.policy), **notes}
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    files.write_bytes(path, (text + "\n").encode())


def read(path: Path) -> dict[str, OperatingPoint]:
    """Read what `write` wrote.

    Raises:
        UserError: the file is missing or holds something else; the message names it and the phrase.
    """
    document = files.read_json(path)
    if not isinstance(document, dict):
        raise UserError(f"{path} holds no operating points; remove it and run the evaluate stage again")
    points = {}
    for phrase, values in document.items():
        try:
            shape = {field.name: values[field.name] for field in fields(Policy)}
            notes = {field.name: values[field.name] for field in fields(OperatingPoint) if field.name != "policy"}
            points[phrase] = OperatingPoint(policy=Policy.from_dict(shape), **notes)
        except (KeyError, TypeError, ValueError) as failure:
            raise UserError(
                f"{path}: the operating point of '{phrase}' is unusable: {failure!s}; run the evaluate stage again"
            ) from failure
    return points
