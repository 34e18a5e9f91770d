"""One training step's forward and backward pass, shared by training and the learning-rate range test."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn

from wakeword.features.frontend import FRAME_MS, FrontendConfig
from wakeword.training import distributed
from wakeword.training.config import BatchConfig, LossConfig, OptimizerConfig
from wakeword.training.devices import autocast
from wakeword.training.losses import max_pooling_bce
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
    """

    def __init__(
        self,
        sampler: WindowSampler,
        frontend: FrontendConfig,
        batches: BatchConfig,
        loss: LossConfig,
        device: torch.device,
        dtype: torch.dtype | None,
    ) -> None:
        self.sampler, self.batches, self.config, self.device, self.dtype = sampler, batches, loss, device, dtype
        self.windows = Prefetch(sampler.batch)
        self.range_hz = frontend.f_min_hz, frontend.f_max_hz

    def __call__(self, network: nn.Module, step: int) -> torch.Tensor:
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
        with autocast(self.dtype, self.device):
            logits = distributed.whole(network(distributed.part(features)))
        stretch = max(1, self.config.negative_ms // (self.sampler.stride * FRAME_MS))
        return max_pooling_bce(logits, positive, negative, stretch, self.config.negative_weight)

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


def optimizer(network: nn.Module, config: OptimizerConfig, lr: float) -> torch.optim.AdamW:
    """Return AdamW that decays weights that multiply and leaves biases and normalization alone."""
    groups = [
        {"params": list(_parameters(network, decayed=True)), "weight_decay": config.weight_decay},
        {"params": list(_parameters(network, decayed=False)), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr)


def _parameters(network: nn.Module, *, decayed: bool) -> Iterator[nn.Parameter]:
    return (parameter for parameter in network.parameters() if (parameter.squeeze().ndim > 1) == decayed)
