"""One training step's forward and backward pass, shared by training and the learning-rate range test."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from wakeword.features.frontend import FRAME_MS, FrontendConfig
from wakeword.training import distributed
from wakeword.training.config import BatchConfig, FocalConfig, LossConfig, OptimizerConfig
from wakeword.training.devices import autocast
from wakeword.training.distillation import Teacher
from wakeword.training.losses import Shape, max_pooling_bce, per_frame_bce
from wakeword.training.prefetch import Prefetch
from wakeword.training.sampler import WindowSampler
from wakeword.training.spec_augment import spec_augment


class Objective:
    """Computes the training loss, training augmentation included, of the batch of any step.

    Args:
        sampler: cuts the windows.
        frontend: made the features.
        batches, loss: their parameters.
        device: where the network is.
        dtype: for mixed precision, or None.
        teacher: says what the scores should be, beside the labels; or None.
    """

    def __init__(
        self,
        sampler: WindowSampler,
        frontend: FrontendConfig,
        batches: BatchConfig,
        loss: LossConfig,
        device: torch.device,
        dtype: torch.dtype | None,
        teacher: Teacher | None = None,
    ) -> None:
        if teacher is not None:
            teacher.check_windows(sampler.window, batches, loss)
        self.teacher = teacher
        self.sampler, self.batches, self.config, self.device, self.dtype = sampler, batches, loss, device, dtype
        self.windows = Prefetch(sampler.batch)
        self.range_hz = frontend.f_min_hz, frontend.f_max_hz
        focal = loss.focal or FocalConfig(gamma=0.0)
        self.shape = Shape(focal.gamma, focal.alpha, loss.label_smoothing)

    def __call__(self, network: nn.Module, step: int) -> Tensor:
        """Return the loss, a scalar with gradients, of the batch of `step`.

        The network may be wrapped by `distributed.parallel`.
        """
        plain = distributed.alone(network)
        batch = self.windows(step)
        features, positive, negative = (
            torch.from_numpy(array).to(self.device) for array in (batch.features, batch.positive, batch.negative)
        )
        rng = np.random.default_rng([self.sampler.seed, 8, step])
        features = spec_augment(features, plain.mean, plain.silence, self.range_hz, self.batches.spec_augment, rng)
        weights = None
        if self.batches.mixup:
            features, partner, share = mixup(features, self.batches.mixup, rng)
            # A mixed window is taken for both of what it is mixed from, each by its share.
            weights = torch.cat([share, 1.0 - share])
            positive, negative = (torch.cat([mask, mask[partner]]) for mask in (positive, negative))
        with autocast(self.dtype, self.device):
            logits = distributed.whole(network(distributed.part(features)))
        labelled = torch.cat([logits, logits]) if weights is not None else logits
        loss = self._loss(labelled, positive, negative, weights)
        if self.teacher is None:
            return loss
        with autocast(self.dtype, self.device):
            taught = self.teacher.scores(features, plain.receptive_field, plain.stride)
        return self.teacher.blend(loss, logits, taught, self.config.negative_weight)

    def _loss(self, logits: Tensor, positive: Tensor, negative: Tensor, weights: Tensor | None) -> Tensor:
        negative_weight = self.config.negative_weight
        if self.config.name == "per_frame":
            return per_frame_bce(logits, positive, negative, negative_weight, self.shape, weights)
        stretch = max(1, self.config.negative_ms // (self.sampler.stride * FRAME_MS))
        return max_pooling_bce(logits, positive, negative, stretch, negative_weight, self.shape, weights)

    def feed_back(self, moments: Iterable[tuple[str, float]], share: float) -> None:
        """Lay a share of the windows of all further steps around moments; see `WindowSampler.feed_back`."""
        self.windows.forget()  # what was made ahead was made without them
        self.sampler.feed_back(moments, share)

    def input_figures(self, seconds: float) -> dict[str, float]:
        """Return how input kept up in the `seconds` since the last call: they change no result and are for the log.

        The share of the time that steps waited for windows, and the share of blocks of features found in the cache.
        """
        cache = self.sampler.streams.cache
        figures = {"waited_for_windows": self.windows.waited_s / seconds}
        self.windows.waited_s = 0.0
        if cache is not None:
            figures["found_in_cache"] = cache.hits / max(1, cache.hits + cache.misses)
            cache.hits = cache.misses = 0
        return figures


def mixup(features: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Mix each window with another one of the batch (Zhang et al., arXiv:1710.09412), each pair by a share of its own.

    Cross-entropy being linear in the target, mixing the targets is the same as weighing the losses of both targets by
    the shares; where the highest score speaks for many, each window's own masks must choose it.

    Args:
        features: `(windows, frames, mels)`.
        alpha: of the Beta distribution of the shares.
        rng: draws partners and shares.

    Returns:
        The mixed features, `(windows,)` int64 the partner of each window, and `(windows,)` its own share.
    """
    partner = torch.from_numpy(rng.permutation(len(features))).to(features.device)
    share = torch.from_numpy(rng.beta(alpha, alpha, size=len(features)).astype(np.float32)).to(features.device)
    return features[partner].lerp(features, share[:, None, None]), partner, share


def optimizer(network: nn.Module, config: OptimizerConfig, lr: float) -> torch.optim.AdamW:
    """Return AdamW that decays weights that multiply and leaves biases and normalization alone."""
    groups = [
        {"params": list(_parameters(network, decayed=True)), "weight_decay": config.weight_decay},
        {"params": list(_parameters(network, decayed=False)), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr)


def _parameters(network: nn.Module, *, decayed: bool) -> Iterator[nn.Parameter]:
    return (parameter for parameter in network.parameters() if (parameter.squeeze().ndim > 1) == decayed)
