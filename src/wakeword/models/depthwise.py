"""Depthwise convolution over time, with a gradient that a CPU computes fast.

PyTorch's CPU kernels take up to ten times as long for the gradient of a dilated depthwise convolution as for that of an
undilated one down the columns of a picture. And it is one, where each channel's frames are written in rows of
`dilation`.
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
        learning = self.weight.requires_grad and torch.is_grad_enabled()
        plain = x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()
        if self.dilation[1] == 1 or plain or not learning:
            return super().forward(x)
        filtered: Tensor = _OverTime.apply(x, self.weight, self.dilation[1])  # type: ignore[no-untyped-call]
        return filtered


class _OverTime(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return functional.conv2d(x, weight, dilation=(1, dilation), groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
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
        if of_x is not None:
            of_x = of_x.permute(0, 2, 3, 1).reshape(len(x), 1, -1, channels)[:, :, :frames].permute(0, 3, 1, 2)
        return of_x, None if of_weight is None else of_weight.transpose(2, 3), None


def _columns(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return `(batch, channels, 1, time)` as `(batch, channels, rows, columns)`, row by row, zeros where time ends."""
    line = x[:, :, 0].transpose(1, 2).contiguous()
    filled = functional.pad(line, (0, 0, 0, rows * columns - line.shape[1]))
    return filled.reshape(len(x), rows, columns, x.shape[1]).permute(0, 3, 1, 2)
