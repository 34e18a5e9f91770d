"""Depthwise convolution over time, with a gradient that is computed fast.

PyTorch's CPU kernels take up to ten times as long for the gradient of a dilated depthwise convolution as for that of an
undilated one down the columns of a picture. And it is one, where each channel's frames are written in rows of
`dilation`. A GPU gains by the same.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class DepthwiseOverTime(nn.Conv2d):
    """One filter of `kernel` frames, each `dilation` after the last, for each channel of `(batch, channels, 1, time)`.

    It neither pads nor adds a bias.
    """

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__(channels, channels, (1, kernel), dilation=(1, dilation), groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        on_gpu, weight, dilation = x.device.type == "cuda", self.weight, self.dilation[1]
        learning = weight.requires_grad and torch.is_grad_enabled()
        if on_gpu and torch.is_autocast_enabled("cuda"):
            x, weight = (each.to(torch.get_autocast_dtype("cuda")) for each in (x, weight))
        if torch.compiler.is_compiling():
            return shifted(x, weight, dilation) if on_gpu else super().forward(x)
        if dilation == 1 or torch.is_autocast_enabled("cpu") or not learning:
            return super().forward(x)
        filtered: Tensor = OverTime.apply(x, weight, dilation, on_gpu)  # type: ignore[no-untyped-call]
        return filtered


def shifted(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """Filter by a sum of shifted copies, which a compiler makes a single pass of, with what is before and after it."""
    frames = x.shape[3] - (weight.shape[3] - 1) * dilation
    first, *others = (
        x[..., tap * dilation : tap * dilation + frames] * weight[:, 0, 0, tap, None, None]
        for tap in range(weight.shape[3])
    )
    return sum(others, start=first)


class OverTime(torch.autograd.Function):
    """The filter as one down the columns: its gradient alone, or itself too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int, itself: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        if not itself:
            return functional.conv2d(x, weight, dilation=(1, dilation), groups=x.shape[1])
        frames = x.shape[3]
        columns = _columns(x, -(-frames // dilation), dilation)
        filtered = functional.conv2d(columns, weight.transpose(2, 3), groups=x.shape[1])
        return _line(filtered, frames - (weight.shape[3] - 1) * dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        channels, frames, kernel = x.shape[1], x.shape[3], weight.shape[3]
        rows = -(-frames // ctx.dilation)
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            _columns(gradient, rows - kernel + 1, ctx.dilation),
            _columns(x, rows, ctx.dilation),
            weight.transpose(2, 3),
            None,
            [1, 1],
            [0, 0],
            [1, 1],
            False,
            [0, 0],
            channels,
            [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False],
        )
        return (
            None if of_x is None else _line(of_x, frames),
            None if of_weight is None else of_weight.transpose(2, 3),
            None,
            None,
        )


def _columns(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return `(batch, channels, 1, time)` as `(batch, channels, rows, columns)`, row by row, zeros where time ends."""
    line = x[:, :, 0].transpose(1, 2).contiguous()
    filled = functional.pad(line, (0, 0, 0, rows * columns - line.shape[1]))
    return filled.reshape(len(x), rows, columns, x.shape[1]).permute(0, 3, 1, 2)


def _line(columns: Tensor, frames: int) -> Tensor:
    """Return the `(batch, channels, 1, frames)` that `_columns` was given; what filled the last row is dropped."""
    batch, channels = columns.shape[:2]
    return columns.permute(0, 2, 3, 1).reshape(batch, 1, -1, channels)[:, :, :frames].permute(0, 3, 1, 2)
