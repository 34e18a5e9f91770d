"""MixedNet: depthwise convolutions of several kernel sizes side by side, each block followed by a pointwise one.

Sources: the convolutions are MixConv, Tan and Le, "MixConv: Mixed Depthwise Convolutional Kernels", arXiv:1907.09595
(2019); the streaming keyword network built of them, with a strided stem and a dense layer over the last frames, is
that of microWakeWord (Kahrs, github.com/kahrendt/microWakeWord) after Rybakov et al., "Streaming keyword spotting on
mobile devices", arXiv:2005.06720 (2020).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from wakeword.models.config import MixedNetConfig
from wakeword.models.streaming import Past, Streaming


class _MixConv(nn.Module):
    """Depthwise over time; each equal share of the channels has a kernel of its own size.

    The kernels are joined to one, the shorter ones with zeros in front, so that one convolution does the work.
    """

    def __init__(self, channels: int, kernels: list[int]) -> None:
        super().__init__()
        share, spare = divmod(channels, len(kernels))
        shares = [share + (index < spare) for index in range(len(kernels))]
        self.weights = nn.ParameterList(
            nn.Conv2d(count, count, (1, kernel), groups=count, bias=False).weight
            for count, kernel in zip(shares, kernels, strict=True)
        )
        self.context = max(kernels) - 1

    def forward(self, x: Tensor) -> Tensor:
        longest = self.context + 1
        padded = [
            torch.cat([weight.new_zeros(len(weight), 1, 1, longest - weight.shape[3]), weight], dim=3)
            if weight.shape[3] < longest
            else weight
            for weight in self.weights
        ]
        return functional.conv2d(x, torch.cat(padded, dim=0), groups=x.shape[1])


class _Block(nn.Module):
    """MixConv over time, pointwise over channels, on request added to a projection of its own input."""

    def __init__(self, channels_in: int, channels: int, kernels: list[int], residual: bool) -> None:
        super().__init__()
        self.mixed = _MixConv(channels_in, kernels)
        self.pointwise = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.skip = (
            nn.Sequential(nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels))
            if residual
            else None
        )
        self.context = self.mixed.context

    def forward(self, x: Tensor, past: Past) -> Tensor:
        y: Tensor = self.norm(self.pointwise(self.mixed(past.before(x, self.context))))
        if self.skip is not None:
            y = y + past.trim(self.skip(x), self.context)
        return torch.relu(y)


class MixedNet(Streaming):
    """The network; see `Streaming`."""

    def __init__(self, config: MixedNetConfig, mels: int, phrases: int) -> None:
        super().__init__()
        self.stride = config.stride
        self.stem = nn.Sequential(
            nn.Conv2d(mels, config.stem_channels, (1, config.stem_kernel), stride=(1, config.stride), bias=False),
            nn.BatchNorm2d(config.stem_channels),
            nn.ReLU(),
        )
        widths = [config.stem_channels] + [config.channels] * len(config.kernels)
        blocks = [
            _Block(width, config.channels, kernels, config.residual)
            for width, kernels in zip(widths[:-1], config.kernels, strict=True)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(config.channels, phrases, (1, config.head_frames))
        self.stem_context, self.head_context = config.stem_kernel - config.stride, config.head_frames - 1
        layers = [(mels, self.stem_context)]
        layers += [(width, block.context) for width, block in zip(widths, blocks, strict=False)]
        layers += [(config.channels, self.head_context)]
        self.cache_shapes = [(channels, 1, frames) for channels, frames in layers if frames]
        self.receptive_field = config.stem_kernel + self.stride * sum(frames for _, frames in layers[1:])

    def embed(self, features: Tensor, past: Past) -> Tensor:
        x = features.transpose(1, 2).unsqueeze(2)
        x = self.stem(past.before(x, self.stem_context))
        for block in self.blocks:
            x = block(x, past)
        return past.before(self.dropout(x), self.head_context)
