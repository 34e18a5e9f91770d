"""A causal depthwise-separable TCN whose stacks are summed at several time scales.

Source: the MDTC of Hou et al., "The NPU System for the 2020 Personalized Voice Trigger Challenge",
arXiv:2102.13552 (2021), with one pointwise convolution a block as in MobileNet (Howard et al., arXiv:1704.04861).

No layer pads. On a window the network returns only scores whose whole receptive field lies inside it; on a stream
each layer is handed the frames it would otherwise have seen (its cache). Both are the same arithmetic.
"""

import torch
from torch import Tensor, nn

from wakeword.models.config import DsTcnConfig


class _Stem(nn.Sequential):
    """All bands to `channels`, and one frame of `stride`: `(batch, mels, 1, time)` to `(batch, channels, 1, time / s)`.

    Its taps span two scores, so that its context is a whole number of them, as the exported graph wants it.
    """

    def __init__(self, mels: int, channels: int, stride: int) -> None:
        taps = 2 * stride
        super().__init__(
            nn.Conv2d(mels, channels, (1, taps), stride=(1, stride), bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.channels_in = mels
        self.taps, self.context = taps, taps - stride


class _Block(nn.Module):
    """Depthwise over time, pointwise over channels, added to its own input."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, (1, kernel), dilation=(1, dilation), groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.channels_in = channels
        self.context = (kernel - 1) * dilation

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.pointwise(self.depthwise(x)))
        return torch.relu(y + x[..., self.context :])


class DsTcn(nn.Module):
    """The network from normalized features to logits.

    Attributes:
        stride: feature frames per score.
        receptive_field: feature frames that decide one score.
        state_size: floats of state that a stream carries from call to call.
    """

    def __init__(self, config: DsTcnConfig, mels: int, phrases: int) -> None:
        super().__init__()
        self.stride: int = config.stride
        self.per_stack = len(config.dilations)
        self.stem = _Stem(mels, config.channels, config.stride)
        dilations = config.dilations * config.stacks
        self.blocks = nn.ModuleList(_Block(config.channels, config.kernel, dilation) for dilation in dilations)
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(config.channels, phrases, 1)
        layers = [self.stem, *self.blocks]
        self.cache_shapes = [(layer.channels_in, layer.context) for layer in layers]
        self.state_size = sum(channels * frames for channels, frames in self.cache_shapes)
        self.receptive_field = self.stem.taps + self.stride * sum(block.context for block in self.blocks)  # type: ignore[misc]

    def forward(self, features: Tensor) -> Tensor:
        """Score a window.

        Args:
            features: `(batch, time, mels)`.

        Returns:
            Logits `(batch, (time - receptive_field) // stride + 1, phrases)`.
        """
        logits, _ = self._run(features, None)
        return logits

    def stream(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Score the next frames of a stream.

        Args:
            features: `(batch, time, mels)`, `time` a multiple of `stride`.
            state: `(batch, state_size)`, zeros at first, then what the last call returned.

        Returns:
            Logits `(batch, time / stride, phrases)` and the next state.
        """
        sizes = [channels * frames for channels, frames in self.cache_shapes]
        caches = [
            cache.unflatten(1, (channels, 1, frames))
            for cache, (channels, frames) in zip(state.split(sizes, dim=1), self.cache_shapes, strict=True)
        ]
        logits, caches = self._run(features, caches)
        return logits, torch.cat([cache.flatten(1) for cache in caches], dim=1)

    def _run(self, features: Tensor, caches: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        x = features.transpose(1, 2).unsqueeze(2)
        kept: list[Tensor] = []
        scales: list[Tensor] = []
        for index, layer in enumerate([self.stem, *self.blocks]):
            if caches is not None:
                x = torch.cat([caches[index], x], dim=3)
                kept.append(x[..., x.shape[3] - self.cache_shapes[index][1] :])
            x = layer(x)
            if index and index % self.per_stack == 0:
                scales.append(x)
        summed = sum((scale[..., scale.shape[3] - x.shape[3] :] for scale in scales[:-1]), start=x)
        logits = self.head(self.dropout(summed))
        return logits.squeeze(2).transpose(1, 2), kept
