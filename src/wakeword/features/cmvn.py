"""Global cepstral-style mean and variance normalization: one mean and deviation a band, over all of train."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wakeword.base.errors import UserError
from wakeword.base.files import read_json, write_json


@dataclass(frozen=True)
class Cmvn:
    """Statistics of the training features.

    Attributes:
        mean, std: `(mels,)` float32.
        frames: how many frames they were taken over.
        frontend: fingerprint of the front-end that made those frames.
    """

    mean: np.ndarray
    std: np.ndarray
    frames: int
    frontend: str


def accumulate(blocks: Iterable[np.ndarray], frontend: str) -> Cmvn:
    """Compute the statistics of all frames of all blocks, each `(frames, mels)`, in float64.

    Blocks are merged by the pairwise update of Chan, Golub and LeVeque (1979), which does not lose digits to
    a large mean as a sum of squares does.

    Raises:
        UserError: there is no frame, or a band never changes.
    """
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for block in blocks:
        if not len(block):
            continue
        values = block.astype(np.float64)
        block_mean = values.mean(axis=0)
        delta, total = block_mean - mean, count + len(values)
        squares = squares + ((values - block_mean) ** 2).sum(axis=0) + delta**2 * count * len(values) / total
        mean = mean + delta * len(values) / total
        count = total
    if not count:
        raise UserError(
            "the training features hold no frame; check metrics/featurize.json and run `dvc repro featurize`"
        )
    std = np.sqrt(squares / count)
    if not std.min() > 1e-3:
        band = int(std.argmin())
        raise UserError(
            f"mel band {band} never changes in the training data; lower features.f_max_hz or add recordings"
        )
    return Cmvn(mean.astype(np.float32), std.astype(np.float32), count, frontend)


def save(path: Path, cmvn: Cmvn) -> None:
    """Write the statistics as JSON, with nine digits: enough to restore every float32 exactly."""
    values = {"mean": [f"{x:.9g}" for x in cmvn.mean], "std": [f"{x:.9g}" for x in cmvn.std]}
    write_json(path, {**values, "frames": cmvn.frames, "frontend": cmvn.frontend})


def load(path: Path, frontend: str) -> Cmvn:
    """Read the statistics for use with features of a given front-end.

    Raises:
        UserError: the file is missing or broken, or belongs to another front-end.
    """
    stored = read_json(path)
    try:
        mean, std = (np.array([float(x) for x in stored[name]], dtype=np.float32) for name in ("mean", "std"))
        cmvn = Cmvn(mean, std, int(stored["frames"]), str(stored["frontend"]))
    except (KeyError, TypeError, ValueError) as failure:
        raise UserError(f"{path} does not hold CMVN statistics ({failure}); run `dvc repro compute-cmvn`") from failure
    if cmvn.frontend != frontend:
        raise UserError(
            f"{path} was computed for front-end {cmvn.frontend}, but the features are of {frontend}; "
            "run `dvc repro compute-cmvn`"
        )
    return cmvn
