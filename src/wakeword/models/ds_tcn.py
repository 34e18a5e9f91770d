"""A causal depthwise-separable TCN whose stacks are summed at several time scales.

Source: the MDTC of Hou et al., "The NPU System for the 2020 Personalized Voice Trigger Challenge",
arXiv:2102.13552 (2021), with one pointwise convolution a block as in MobileNet (Howard et al., arXiv:1704.04861).
"""

import torch
from torch import Tensor, nn

from wakeword.models.config import DsTcnConfig
from wakeword.models.depthwise import DepthwiseOverTime
from wakeword.models.streaming import Past, Streaming, later


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
        self.depthwise = DepthwiseOverTime(channels, kernel, dilation)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.channels_in = channels
        self.context = (kernel - 1) * dilation

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.pointwise(self.depthwise(x)))
        return torch.relu(y + later(x, self.context))


class DsTcn(Streaming):
    """The network; see `Streaming`."""

    def __init__(self, config: DsTcnConfig, mels: int, phrases: int) -> None:
        super().__init__()
        self.stride = config.stride
        self.per_stack = len(config.dilations)
        self.stem = _Stem(mels, config.channels, config.stride)
        dilations = config.dilations * config.stacks
        blocks = [_Block(config.channels, config.kernel, dilation) for dilation in dilations]
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(config.channels, phrases, 1)
        self.cache_shapes = [(mels, 1, self.stem.context), *((config.channels, 1, block.context) for block in blocks)]
        self.receptive_field = self.stem.taps + self.stride * sum(block.context for block in blocks)

    def embed(self, features: Tensor, past: Past) -> Tensor:
        x = features.transpose(1, 2).unsqueeze(2)
        x = self.stem(past.before(x, self.stem.context))
        scales: list[Tensor] = []
        for index, (block, (_, _, frames)) in enumerate(zip(self.blocks, self.cache_shapes[1:], strict=True), start=1):
            x = block(past.before(x, frames))
            if index % self.per_stack == 0:
                scales.append(x)
        summed = sum((later(scale, scale.shape[3] - x.shape[3]) for scale in scales[:-1]), start=x)
        return self.dropout(summed)  # type: ignore[no-any-return]
