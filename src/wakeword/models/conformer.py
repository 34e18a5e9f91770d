"""A small causal Conformer: self-attention to a limited past, and convolutions, between two half feed-forward layers.

Sources: Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition", arXiv:2005.08100 (2020);
attention limited to the left, with keys and values cached, after Zhang et al., "Transformer Transducer",
arXiv:2002.02562 (2020); position enters as a learned bias for each head and distance (Raffel et al., arXiv:1910.10683),
so that a frame is treated the same wherever it lies in a stream.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from wakeword.models.config import ConformerConfig
from wakeword.models.streaming import Past, Shape, Streaming, batch_size, windows


class _Norm(nn.Module):
    """Layer normalization over the channels of each frame (Ba et al., arXiv:1607.06450)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        deviation = torch.sqrt((centred * centred).mean(dim=1, keepdim=True) + 1e-5)
        return centred / deviation * self.weight + self.bias


class _FeedForward(nn.Sequential):
    def __init__(self, channels: int, expansion: int, dropout: float) -> None:
        super().__init__(
            _Norm(channels),
            nn.Conv2d(channels, expansion * channels, 1),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv2d(expansion * channels, channels, 1),
            nn.Dropout(dropout),
        )


class _Attention(nn.Module):
    """Each frame attends to itself and to the `context` frames before it, whose keys and values a stream keeps."""

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.channels, self.heads, self.context = channels, heads, context
        self.norm = _Norm(channels)
        self.projections = nn.Conv2d(channels, 3 * channels, 1)  # queries, keys, values
        self.out = nn.Conv2d(channels, channels, 1)
        self.distance = nn.Parameter(torch.zeros(heads, 1, context + 1))

    def forward(self, x: Tensor, past: Past) -> Tensor:
        batch, width = batch_size(x), self.channels // self.heads
        projected = self.projections(self.norm(x))
        query = past.trim(projected[:, : self.channels], self.context).reshape(batch, self.heads, width, -1, 1)
        seen = past.before(projected[:, self.channels :], self.context)
        keys, values = windows(seen.reshape(batch, 2, self.heads, width, -1), self.context + 1).unbind(1)
        logits = (query * keys).sum(dim=2) / math.sqrt(width) + self.distance
        weights = torch.softmax(logits, dim=3).unsqueeze(2)
        heard = (weights * values).sum(dim=4).reshape(batch, self.channels, 1, -1)
        return self.out(heard)  # type: ignore[no-any-return]


class _Convolution(nn.Module):
    """Pointwise with a gate, depthwise over time, pointwise."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.context = kernel - 1
        self.norm = _Norm(channels)
        self.gated = nn.Conv2d(channels, 2 * channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, (1, kernel), groups=channels, bias=False)
        self.batch_norm = nn.BatchNorm2d(channels)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        y = functional.glu(self.gated(self.norm(x)), dim=1)
        y = self.batch_norm(self.depthwise(past.before(y, self.context)))
        return self.out(functional.silu(y))  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        channels = config.channels
        self.first = _FeedForward(channels, config.expansion, config.dropout)
        self.attention = _Attention(channels, config.heads, config.context)
        self.convolution = _Convolution(channels, config.kernel)
        self.last = _FeedForward(channels, config.expansion, config.dropout)
        self.norm = _Norm(channels)
        self.dropout = nn.Dropout(config.dropout)

    def caches(self, channels: int) -> list[Shape]:
        return [(2 * channels, 1, self.attention.context), (channels, 1, self.convolution.context)]

    def forward(self, x: Tensor, past: Past) -> Tensor:
        x = x + 0.5 * self.first(x)
        x = past.trim(x, self.attention.context) + self.dropout(self.attention(x, past))
        x = past.trim(x, self.convolution.context) + self.dropout(self.convolution(x, past))
        return self.norm(x + 0.5 * self.last(x))  # type: ignore[no-any-return]


class Conformer(Streaming):
    """The network; see `Streaming`."""

    def __init__(self, config: ConformerConfig, mels: int, phrases: int) -> None:
        super().__init__()
        self.stride = config.stride
        taps = 2 * config.stride
        self.stem = nn.Sequential(
            nn.Conv2d(mels, config.channels, (1, taps), stride=(1, config.stride), bias=False),
            nn.BatchNorm2d(config.channels),
            nn.SiLU(),
        )
        blocks = [_Block(config) for _ in range(config.blocks)]
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Conv2d(config.channels, phrases, 1)
        self.stem_context = taps - config.stride
        self.cache_shapes = [
            (mels, 1, self.stem_context),
            *(shape for block in blocks for shape in block.caches(config.channels)),
        ]
        self.receptive_field = taps + config.stride * config.blocks * (config.context + config.kernel - 1)

    def embed(self, features: Tensor, past: Past) -> Tensor:
        x = features.transpose(1, 2).unsqueeze(2)
        x = self.stem(past.before(x, self.stem_context))
        for block in self.blocks:
            x = block(x, past)
        return x  # type: ignore[no-any-return]
