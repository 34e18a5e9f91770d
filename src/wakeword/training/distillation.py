"""Distillation: what trained networks, the teachers, say of a window is learned by another, the student.

After Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (arXiv:1503.02531).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from wakeword.base.errors import UserError
from wakeword.base.files import hash_files
from wakeword.features.frontend import FRAME_MS, FrontendConfig
from wakeword.models.checkpoint import TrainedModel, load
from wakeword.models.network import Network
from wakeword.training import distributed
from wakeword.training.config import BatchConfig, LossConfig, TeacherConfig
from wakeword.training.losses import Divisors

TEACHERS = Path("data/teacher")


def distillation_bce(
    logits: Tensor, taught: Tensor, temperature: float, negative_weight: float, divisors: Divisors | None = None
) -> Tensor:
    """Compute how far a student's scores are from those of its teachers.

    Each frame's loss is the binary cross-entropy of the student's probability with the mean of the teachers', both of
    logits divided by the temperature, times the temperature squared, which keeps gradients as large as they were.
    Most frames are of other sound, and all agree on them; in a plain mean they would drown those of the phrase. So two
    means over all frames are added, as the losses of labels have one for the phrase and one for other sound: in the
    first each frame counts by the probability (at temperature 1) that the teachers give it, in the second by the rest.
    No weight depends on the student, and each frame's loss is least where the two agree, and so is the sum.

    Args:
        logits: `(batch, frames, phrases)` of the student.
        taught: `(batch, frames, phrases, teachers)` logits of the teachers for the same moments.
        temperature: above 1, differences between low scores count for more.
        negative_weight: weight of the second mean.
        divisors: of the batch that these windows are a part of, whose parts' losses add up to its own; None for theirs.

    Returns:
        A scalar.
    """
    logits, taught = logits.float(), taught.float()
    target, phrase = (torch.sigmoid(taught / divisor).mean(dim=-1) for divisor in (temperature, 1.0))
    losses = temperature**2 * functional.binary_cross_entropy_with_logits(
        logits / temperature, target, reduction="none"
    )
    divisors = divisors or distillation_divisors(taught)
    missed, alarmed = (losses * phrase).sum(), (losses * (1.0 - phrase)).sum()
    return missed / divisors.wanted + negative_weight * (alarmed / divisors.unwanted)


def distillation_divisors(taught: Tensor) -> Divisors:
    """Return what `distillation_bce` divides by; its argument."""
    phrase = torch.sigmoid(taught.float()).mean(dim=-1)
    # Less than one frame's worth does not count as much as one.
    return Divisors(phrase.sum().clamp(min=1.0), (1.0 - phrase).sum().clamp(min=1.0))


def logits_at(network: Network, features: Tensor, ends: Sequence[int]) -> Tensor:
    """Score a window at given moments, whatever the network's stride.

    A network scores every `stride` frames, counted from where the window starts. So the window is scored once from each
    of its first frames that brings a score to one of the moments: once in all if the moments are as far apart.

    Args:
        network: in evaluation mode.
        features: `(batch, time, mels)`.
        ends: how many of the window's frames have been heard at each moment, at least the receptive field.

    Returns:
        Logits `(batch, len(ends), phrases)`: each of the `receptive_field` frames up to its moment.
    """
    starts = [end - network.receptive_field for end in ends]
    passes = {first: network(features[:, first:]) for first in sorted({start % network.stride for start in starts})}
    return torch.stack([passes[start % network.stride][:, start // network.stride] for start in starts], dim=1)


class Teacher:
    """One or more trained networks, and how much of what they say a student learns.

    Args:
        models: their statistics of features are their own, whatever the student's.
        config: the `train.teacher` section.
        device: where the student is.

    Attributes:
        receptive_field: the longest of theirs, in feature frames.
    """

    def __init__(self, models: Sequence[TrainedModel], config: TeacherConfig, device: torch.device) -> None:
        self.config = config
        self.networks = [model.network.to(device).eval().requires_grad_(False) for model in models]
        self.receptive_field = max(network.receptive_field for network in self.networks)
        self._fingerprints = [model.fingerprints for model in models]

    def check_windows(self, window: int, batches: BatchConfig, loss: LossConfig) -> None:
        """Refuse windows of so many frames that a teacher can't score around the end of a phrase.

        Raises:
            UserError: they are too short for the longest receptive field.
        """
        needed = self.receptive_field + (loss.early_ms + loss.late_ms) // FRAME_MS
        if window < needed:
            raise UserError(
                f"train.batches.window_s is {batches.window_s}, but a teacher in train.teacher.files sees "
                f"{self.receptive_field * FRAME_MS} ms and the phrase's end must fit beside that; set it to at least "
                f"{needed * FRAME_MS / 1000:.2f}, or teach by a network of a shorter receptive field"
            )

    @torch.no_grad()
    def scores(self, features: Tensor, receptive_field: int, stride: int) -> Tensor:
        """Return logits for the moments at which a student scores a batch of windows.

        Where several processes train, each scores its part of the batch, and all get the whole.

        Args:
            features: `(batch, time, mels)`, what the student sees.
            receptive_field, stride: of the student.

        Returns:
            `(batch, frames, phrases, teachers)`: of the student's last `frames` scores. For those before, a teacher's
            receptive field would begin before the window.
        """
        ends = [end for end in range(receptive_field, features.shape[1] + 1, stride) if end >= self.receptive_field]
        mine = distributed.part(features)
        return distributed.whole(torch.stack([logits_at(network, mine, ends) for network in self.networks], dim=-1))

    def blend(
        self, loss: Tensor, logits: Tensor, taught: Tensor, negative_weight: float, divisors: Divisors | None = None
    ) -> Tensor:
        """Return the loss of labels and that of distillation, by their weights.

        Args:
            loss: of the labels, a scalar.
            logits: `(batch, all frames, phrases)` of the student.
            taught: what `scores` returned for the same windows.
            negative_weight, divisors: see `distillation_bce`.
        """
        heard = logits[:, logits.shape[1] - taught.shape[1] :]
        distilled = distillation_bce(heard, taught, self.config.temperature, negative_weight, divisors)
        return (1.0 - self.config.weight) * loss + self.config.weight * distilled

    def provenance(self, data: str) -> dict[str, str]:
        """Return fingerprints to keep with a student: of the teachers, and of data that is not the student's own.

        Args:
            data: fingerprint of the student's training data.

        Returns:
            "teacher" identifies the content of the files. "teacher_data" is there if any of what the teachers were
            trained on, or their own teachers were, is other data: its fingerprints, joined by "+".
        """
        found = {"teacher": hash_files([TEACHERS / file for file in self.config.files])}
        known = {
            part
            for prints in self._fingerprints
            for part in (prints.get("data", "unknown"), *prints.get("teacher_data", "").split("+"))
        }
        foreign = known - {data, ""}
        return found | ({"teacher_data": "+".join(sorted(foreign))} if foreign else {})


def load_teacher(
    config: TeacherConfig, frontend: FrontendConfig, phrases: Sequence[str], language: str, device: torch.device
) -> Teacher:
    """Read the teachers that a student of certain phrases can learn from.

    Raises:
        UserError: a file is missing, is no trained model, or one of another front-end, language or other phrases.
    """
    return Teacher([_load(TEACHERS / file, frontend, phrases, language) for file in config.files], config, device)


def _load(path: Path, frontend: FrontendConfig, phrases: Sequence[str], language: str) -> TrainedModel:
    if not path.is_file():
        raise UserError(
            f"{path}, which train.teacher.files names, is missing; copy a trained models/best_model.pt there "
            "(docs/training.md tells how), or set train.teacher to null"
        )
    try:
        model = load(path)
    except UserError as problem:
        raise UserError(
            f"train.teacher.files names a file that can't teach: {problem} and copy the model there"
        ) from None
    for what, theirs, ours in (
        ("phrases", model.phrases, list(phrases)),
        ("language", model.language, language),
        ("features", model.frontend.model_dump(), frontend.model_dump()),
    ):
        if theirs != ours:
            raise UserError(
                f"{path}, which train.teacher.files names, was trained with {what} {theirs}, but params.yaml has "
                f"{ours}; train a teacher with these, or set train.teacher to null"
            )
    return model
