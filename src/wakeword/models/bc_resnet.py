"""BC-ResNet: one-dimensional convolutions over time, broadcast back onto two-dimensional features as a residual.

Source: Kim et al., "Broadcasted Residual Learning for Efficient Keyword Spotting", arXiv:2106.04140 (2021).

Differences, so that it streams: no convolution pads in time, all look back only; the stem may take one frame of
`stride`; and the mean over the whole clip is one over the last `pool_frames` scores.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from wakeword.base.errors import UserError
from wakeword.models.config import BcResNetConfig
from wakeword.models.depthwise import DepthwiseOverTime
from wakeword.models.streaming import Past, Shape, Streaming

_BLOCKS = (2, 2, 4, 4)
_WIDTHS = (8, 12, 16, 20)
_HALVES_BANDS = (False, True, True, False)
_STEM_WIDTH, _HEAD_WIDTH = 16, 32
_STEM_TAPS, _HEAD_TAPS = 5, 5
_MOST_SUB_BANDS = 5


class _SubSpectralNorm(nn.Module):
    """Batch normalization of each group of neighbouring bands by itself (Chang et al., arXiv:2103.13620)."""

    def __init__(self, channels: int, bands: int, groups: int) -> None:
        super().__init__()
        self.groups, self.bands = groups, bands
        self.norm = nn.BatchNorm2d(channels * groups)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels = x.shape[:2]
        if self.training:
            grouped = x.reshape(batch, channels * self.groups, self.bands // self.groups, -1)
            return self.norm(grouped).reshape(batch, channels, self.bands, -1)  # type: ignore[no-any-return]
        # What is known of each band is a factor and an offset: two operations in the exported graph instead of many.
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        offset = norm.bias - norm.running_mean * gain
        return x * self._each_band(gain) + self._each_band(offset)

    def _each_band(self, values: Tensor) -> Tensor:
        members = self.bands // self.groups
        grouped = values.reshape(1, -1, self.groups, 1)
        return torch.cat([grouped] * members, dim=3).reshape(1, -1, self.bands, 1)


class _Block(nn.Module):
    """A convolution over bands, then one over time of the mean over bands, which is added to every band.

    Where the width changes, a pointwise convolution comes first and the block is not added to its own input.
    """

    def __init__(
        self, channels_in: int, channels: int, bands: int, halve: bool, dilation: int, groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.widen = (
            nn.Sequential(nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())
            if channels_in != channels
            else None
        )
        step = 2 if halve else 1
        self.over_bands = nn.Conv2d(
            channels, channels, (3, 1), stride=(step, 1), padding=(1, 0), groups=channels, bias=False
        )
        self.sub_norm = _SubSpectralNorm(channels, bands // step, groups)
        self.over_time = DepthwiseOverTime(channels, 3, dilation)
        self.norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.context = 2 * dilation

    def forward(self, x: Tensor, past: Past) -> Tensor:
        two = self.sub_norm(self.over_bands(x if self.widen is None else self.widen(x)))
        one = past.before(two.mean(dim=2, keepdim=True), self.context)
        one = functional.silu(self.norm(self.over_time(one)))
        y = past.trim(two, self.context) + self.dropout(self.pointwise(one))
        return torch.relu(y if self.widen is not None else y + past.trim(x, self.context))


class BcResNet(Streaming):
    """The network; see `Streaming`.

    Raises:
        UserError: the bands cannot be halved three times.
    """

    def __init__(self, config: BcResNetConfig, mels: int, phrases: int) -> None:
        super().__init__()
        if mels % 8:
            raise UserError(f"features.mels is {mels}, but bc_resnet halves the bands three times; use a multiple of 8")
        self.stride = config.stride
        self.pool_frames = config.pool_frames
        width, bands = config.tau * _STEM_WIDTH, mels // 2
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, (5, _STEM_TAPS), stride=(2, config.stride), padding=(2, 0), bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        groups = max(count for count in range(1, _MOST_SUB_BANDS + 1) if mels // 8 % count == 0)
        blocks: list[_Block] = []
        for stage, count in enumerate(_BLOCKS):
            for index in range(count):
                wider, halve = config.tau * _WIDTHS[stage], _HALVES_BANDS[stage] and index == 0
                dilation = config.dilations[stage]
                blocks.append(_Block(width, wider, bands, halve, dilation, groups, config.dropout))
                width, bands = wider, bands // 2 if halve else bands
        self.blocks = nn.ModuleList(blocks)
        self.depthwise = nn.Conv2d(width, width, (bands, _HEAD_TAPS), groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, config.tau * _HEAD_WIDTH, 1, bias=False)
        self.norm = nn.BatchNorm2d(config.tau * _HEAD_WIDTH)
        self.head = nn.Conv2d(config.tau * _HEAD_WIDTH, phrases, 1)
        self.stem_context = _STEM_TAPS - config.stride
        shapes: list[Shape] = [(1, mels, self.stem_context)]
        shapes += [(block.pointwise.in_channels, 1, block.context) for block in blocks]
        shapes += [(width, bands, _HEAD_TAPS - 1), (config.tau * _HEAD_WIDTH, 1, self.pool_frames - 1)]
        self.cache_shapes = [shape for shape in shapes if shape[2]]
        contexts = [block.context for block in blocks]
        self.receptive_field = _STEM_TAPS + self.stride * (sum(contexts) + _HEAD_TAPS - 1 + self.pool_frames - 1)

    def embed(self, features: Tensor, past: Past) -> Tensor:
        x = features.transpose(1, 2).unsqueeze(1)
        x = self.stem(past.before(x, self.stem_context))
        for block in self.blocks:
            x = block(x, past)
        x = self.pointwise(self.depthwise(past.before(x, _HEAD_TAPS - 1)))
        x = past.before(torch.relu(self.norm(x)), self.pool_frames - 1)
        return functional.avg_pool2d(x, (1, self.pool_frames), stride=1)
