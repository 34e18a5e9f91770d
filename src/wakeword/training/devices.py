"""Choosing where to compute, and making it repeatable there."""

import os
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from wakeword.base.errors import UserError


def choose(requested: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device to train on.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    if requested == "cuda" and not torch.cuda.is_available():
        raise UserError("runtime.device is 'cuda', but PyTorch finds no GPU here; set it to 'auto' or 'cpu'")
    return torch.device("cuda" if requested != "cpu" and torch.cuda.is_available() else "cpu")


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, without waiting for what a GPU has still to do."""
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def make_repeatable(threads: int, seed: int) -> None:
    """Let the same seed give the same bytes: a fixed number of threads, and only deterministic kernels."""
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Filling memory that is about to be written anyway takes a fifth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def precision(amp: Literal["auto", "off", "bf16", "fp16"], device: torch.device) -> torch.dtype | None:
    """Return the type for mixed precision, or None for full precision."""
    if amp == "auto":
        if device.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[amp]


def autocast(dtype: torch.dtype | None, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the forward pass runs."""
    return torch.autocast(device.type, dtype) if dtype is not None else nullcontext()


def compile_forward(network: nn.Module) -> None:
    """Let `torch.compile` make the network's forward pass, in place: the names in its state stay as they are.

    Raises:
        UserError: there is no C++ compiler.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"train.compile is true, but there is no C++ compiler {compiler}; install it, name another in CXX, "
            "or set train.compile to false"
        )
    network.compile()
