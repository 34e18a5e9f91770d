"""The fast gradient of the depthwise convolution, against PyTorch's own and against finite differences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from wakeword.models.depthwise import DepthwiseOverTime, OverTime, shifted


def layer(channels: int, kernel: int, dilation: int, seed: int, dtype: torch.dtype) -> DepthwiseOverTime:
    torch.manual_seed(seed)
    return DepthwiseOverTime(channels, kernel, dilation).to(dtype=dtype, memory_format=torch.channels_last)


def frames(batch: int, channels: int, time: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(batch, channels, 1, time, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()


@settings(max_examples=60)
@given(
    st.integers(1, 3), st.integers(1, 9), st.integers(1, 6), st.integers(1, 9), st.integers(0, 40), st.integers(0, 99)
)
def test_output_and_gradients_are_those_of_pytorch(
    batch: int, channels: int, kernel: int, dilation: int, more: int, seed: int
) -> None:
    ours = layer(channels, kernel, dilation, seed, torch.float64)
    x = frames(batch, channels, (kernel - 1) * dilation + 1 + more, torch.float64)
    plain = functional.conv2d(x, ours.weight, dilation=(1, dilation), groups=channels)
    filtered = ours(x)
    assert torch.equal(filtered, plain)
    weights = torch.randn_like(plain)
    expected = torch.autograd.grad((plain * weights).sum(), (x, ours.weight))
    # The others are for a GPU, and for the compiler of one.
    columns, copies = OverTime.apply(x, ours.weight, dilation, True), shifted(x, ours.weight, dilation)
    for result in (filtered, columns, copies):
        assert result.shape == plain.shape and torch.allclose(result, plain, atol=1e-12)
        found = torch.autograd.grad((result * weights).sum(), (x, ours.weight))
        for mine, theirs in zip(found, expected, strict=True):
            assert mine.shape == theirs.shape and torch.allclose(mine, theirs, atol=1e-12)


@pytest.mark.parametrize("dilation", [2, 3])
def test_the_gradients_are_those_of_finite_differences(dilation: int) -> None:
    ours = layer(2, 3, dilation, 1, torch.float64)
    assert torch.autograd.gradcheck(ours, frames(2, 2, 11, torch.float64))
    x = frames(2, 2, 11, torch.float64).detach()
    assert torch.autograd.gradcheck(lambda weight: torch.func.functional_call(ours, {"weight": weight}, x), ours.weight)


def test_input_and_frozen_weights_that_need_no_gradient_get_none() -> None:
    ours = layer(2, 3, 2, 1, torch.float32)
    ours(frames(1, 2, 9, torch.float32).detach()).sum().backward()
    assert ours.weight.grad is not None and ours.weight.grad.abs().min() > 0
    frozen = layer(2, 3, 2, 1, torch.float32).requires_grad_(False)
    x = frames(1, 2, 9, torch.float32)
    frozen(x).sum().backward()
    assert frozen.weight.grad is None and x.grad is not None


def test_lower_precision_learns_too() -> None:
    ours = layer(4, 3, 2, 1, torch.float32)
    x = frames(2, 4, 12, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours(x).float().sum().backward()
    expected = torch.stack([x.detach()[:, :, 0, tap * 2 : tap * 2 + 8].sum(dim=(0, 2)) for tap in range(3)], dim=1)
    assert ours.weight.grad is not None
    assert torch.allclose(ours.weight.grad[:, 0, 0], expected, atol=0.2)
