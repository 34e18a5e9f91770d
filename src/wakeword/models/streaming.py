"""What every architecture is: scores of a window without padding, or of the next frames of a stream, the same sums.

No layer pads. On a window each layer eats the frames at its beginning that it has no past for; on a stream it is
handed them, for the state holds what it saw last. An architecture is written once, against `Past`, for both.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]


class Past:
    """Hands the layers of one pass what came before, in the order in which they ask.

    Args:
        caches: on a stream, for each layer its last frames `(batch, channels, bands, frames)`; None for a window.

    Attributes:
        kept: what the layers must be handed next time.
    """

    def __init__(self, caches: Sequence[Tensor] | None) -> None:
        self._caches: Iterator[Tensor] | None = None if caches is None else iter(caches)
        self.kept: list[Tensor] = []

    def before(self, x: Tensor, frames: int) -> Tensor:
        """Return `x`, `(batch, channels, bands, time)`, on a stream with the `frames` that came before it in front."""
        if self._caches is None or not frames:
            return x
        joined = torch.cat([next(self._caches), x], dim=3)
        self.kept.append(joined[..., -frames:])
        return joined

    def trim(self, x: Tensor, frames: int) -> Tensor:
        """Return `x` where a layer that was handed `frames` before it has an output: on a window, less its first."""
        return later(x, frames) if self._caches is None else x


def later(x: Tensor, frames: int) -> Tensor:
    """Return `x`, `(batch, channels, bands, time)`, less its first `frames`.

    The gradient of plain indexing does not lie in memory as channels-last networks have it, for which every layer
    before would pay: a step of the default network took a sixth more. A compiler chooses layouts itself.
    """
    if not x.requires_grad or torch.compiler.is_compiling():
        return x[..., frames:]
    cut: Tensor = _Later.apply(x, frames)  # type: ignore[no-untyped-call]
    return cut


class _Later(torch.autograd.Function):
    """Indexing whose gradient lies in memory as what was indexed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frames: int) -> Tensor:
        ctx.frames, ctx.shape, ctx.strides = frames, x.shape, x.stride()
        return x[..., frames:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        whole = gradient.new_empty_strided(ctx.shape, ctx.strides)
        whole[..., : ctx.frames] = 0
        whole[..., ctx.frames :] = gradient
        return whole, None


class Streaming(nn.Module, ABC):
    """Base of the architectures: a network from normalized features to logits.

    Attributes:
        stride: feature frames per score.
        receptive_field: feature frames that decide one score.
        cache_shapes: channels, bands and frames of what each call of `Past.before` keeps, in their order.
        state_size: floats of state that a stream carries from call to call.
        head: the last layer, which gives a logit for each phrase.
    """

    stride: int
    receptive_field: int
    head: nn.Conv2d
    cache_shapes: list[Shape]

    @property
    def state_size(self) -> int:
        return sum(math.prod(shape) for shape in self.cache_shapes)

    @abstractmethod
    def embed(self, features: Tensor, past: Past) -> Tensor:
        """Turn `(batch, time, mels)` into what `head` makes logits of, `(batch, channels, 1, scores - 1 + its taps)`.

        Every architecture has its own way.
        """

    def forward(self, features: Tensor) -> Tensor:
        """Score a window.

        Args:
            features: `(batch, time, mels)`.

        Returns:
            Logits `(batch, (time - receptive_field) // stride + 1, phrases)`.
        """
        return by_score(self.head(self.embed(features, Past(None))))

    def stream(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Score the next frames of a stream.

        Args:
            features: `(batch, time, mels)`, `time` a multiple of `stride`.
            state: `(batch, state_size)`, zeros at first, then what the last call returned.

        Returns:
            Logits `(batch, time / stride, phrases)` and the next state.
        """
        parts = state.split([math.prod(shape) for shape in self.cache_shapes], dim=1)
        batch = batch_size(state)
        past = Past([part.reshape(batch, *shape) for part, shape in zip(parts, self.cache_shapes, strict=True)])
        logits = by_score(self.head(self.embed(features, past)))
        return logits, torch.cat([cache.flatten(1) for cache in past.kept], dim=1)


def by_score(logits: Tensor) -> Tensor:
    """Return what a head gives, `(batch, outputs, 1, scores)`, as `(batch, scores, outputs)`."""
    return logits[:, :, 0].transpose(1, 2)


def windows(x: Tensor, frames: int) -> Tensor:
    """Return every `frames` neighbours of `x`, `(..., time)`: `(..., time - frames + 1, frames)`."""
    if not torch.onnx.is_in_onnx_export():
        return x.unfold(-1, frames, 1)
    # The same by an index, for the exporter can't write `unfold` for a time that varies.
    firsts = torch.arange(x.shape[-1] - (frames - 1))
    return x[..., firsts[:, None] + torch.arange(frames)]


def batch_size(x: Tensor) -> int:
    """Return the size of the first dimension as a number that a trace takes for a constant: it exports one stream."""
    return int(x.shape[0])
