"""Pictures of the learning-rate sweep and of training; the same input gives the same bytes."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from wakeword.training.lr_range_test import LrRangeTest

_METADATA = {"Software": ""}


def draw_lr_range_test(path: Path, found: LrRangeTest) -> None:
    """Draw the loss against the learning rate, with both suggestions marked."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.semilogx(found.rates, found.losses, color="0.75", linewidth=1, label="loss of the step")
    axes.semilogx(found.rates, found.smoothed, color="C0", linewidth=2, label="smoothed")
    axes.axvline(found.knee, color="C3", label=f"knee, suggested: {found.knee:.2g}")
    axes.axvline(found.valley, color="C2", linestyle="--", label=f"valley: {found.valley:.2g}")
    axes.axvline(found.steepest, color="C1", linestyle="--", label=f"steepest descent: {found.steepest:.2g}")
    axes.set(xlabel="learning rate", ylabel="training loss", title="Learning-rate range test")
    axes.set_ylim(0, 1.1 * max(found.smoothed[0], found.smoothed.min() * 2))
    axes.legend()
    axes.grid(alpha=0.3)
    _save(figure, path)


def draw_training(path: Path, history: list[dict[str, float]], kept: list[int], *, transcribed: bool) -> None:
    """Draw loss and dev figures against the epoch, with the kept epoch marked, or those whose average was.

    Args:
        transcribed: the loss holds that of telling phonemes, the less the later.
    """
    epochs = [row["epoch"] for row in history]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    left.plot(epochs, [row["loss"] for row in history], marker="o", markersize=3)
    title = "Training loss, phonemes included" if transcribed else "Training loss"
    left.set(xlabel="epoch", ylabel="mean training loss", title=title)
    recall = [100 * row["mean_recall"] for row in history]
    right.plot(epochs, recall, marker="o", markersize=3, color="C2")
    right.set(xlabel="epoch", ylabel="%", ylim=(0, 100), title="Dev: mean recall over 0 to 2 false alarms an hour")
    for axes in (left, right):
        for epoch in kept:
            what = "kept: " if len(kept) == 1 else "kept, averaged: "
            axes.axvline(epoch, color="0.4", linestyle=":", label=f"{what}epoch {epoch}")
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata=_METADATA)
    plt.close(figure)
