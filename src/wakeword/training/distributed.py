"""Training in several processes, each of which computes a part of every batch.

The processes are started by `torch.distributed.run`, here or by a person with `torchrun` on several machines. All see
the logits of the whole batch, so that the loss is that of the whole batch whatever the loss is, and batch
normalization takes its statistics over the whole batch too: but for rounding and for what dropout draws, the result is
that of one process. Each process cuts all the windows of a batch, and computes a part of them.
"""

import os
import sys
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from wakeword import workers
from wakeword.base.errors import UserError
from wakeword.models.network import Network
from wakeword.training.phonemes import Transcriber

T = TypeVar("T")

_PATIENCE = timedelta(hours=2)  # while the first process judges, the others wait


def launched() -> bool:
    """Say whether this process is one of those that `launch` or `torchrun` started."""
    return dist.is_torchelastic_launched()


def launch(processes: int, script: Path, *arguments: str) -> None:
    """Run a Python script in several processes of this machine, to their end.

    Raises:
        SystemExit: one failed; the others were ended, and the status is its own.
        KeyboardInterrupt: this process was interrupted, and has ended the others.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
    )
    try:
        elastic_launch(config, sys.executable)("-u", str(script), *arguments)
    except ChildFailedError as failure:
        sys.exit(max(1, failure.get_first_failure()[1].exitcode))
    except SignalException as signalled:
        raise KeyboardInterrupt from signalled


def join(device: torch.device, sizes: Mapping[str, int], accumulate: int = 1) -> None:
    """Become one of the processes that `launch` started.

    Args:
        device: to compute on.
        sizes: of what is shared in each step, by the key below `train` that says so.
        accumulate: micro-batches that it is computed in.

    Raises:
        UserError: a batch can't be shared out equally, or there are more processes than GPUs.
    """
    if device.type == "cuda":
        local, here = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
        if here > (gpus := torch.cuda.device_count()):
            raise UserError(
                f"{here} processes are to train on this machine, which has {gpus} GPUs; lower train.nproc, "
                "or set runtime.device to cpu"
            )
        torch.cuda.set_device(local)
    workers.die_with(os.getppid())
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    for name, number in sizes.items():
        if number % (size() * accumulate):
            raise UserError(
                f"train.{name} is {number}, which {size()} processes can't share equally in {accumulate} parts; "
                f"set it to a multiple of {size() * accumulate}"
            )


def leave() -> None:
    """Part from the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Return this process's number, from 0; alone it is 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def from_first(make: Callable[[], T]) -> T:
    """Return to all processes what the first one makes; the others wait for it."""
    if size() == 1:
        return make()
    box: list[Any] = [make() if rank() == 0 else None]
    dist.broadcast_object_list(box, src=0)
    return cast(T, box[0])


def parallel(learner: nn.Module) -> nn.Module:
    """Return what to call instead of a network or its `Transcriber`, so that gradients become those of all processes.

    Batch normalization is replaced in place. Alone, the module itself is returned.
    """
    if size() == 1:
        return learner
    for parent in list(learner.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                setattr(parent, name, _SharedBatchNorm.like(child))
    return DistributedDataParallel(learner, broadcast_buffers=False)


def alone(learner: nn.Module) -> Network:
    """Return the network that `parallel` was given, by itself or in its `Transcriber`."""
    plain = learner.module if isinstance(learner, DistributedDataParallel) else learner
    return cast(Network, plain.network if isinstance(plain, Transcriber) else plain)


def part(batch: Tensor) -> Tensor:
    """Return this process's rows of a batch: one of `size()`, so that all kinds of windows are shared out evenly."""
    return batch[rank() :: size()]


def whole(rows: Tensor) -> Tensor:
    """Put the rows of all processes together again, `(batch, ...)`, in the order before `part`.

    All processes must go on to compute the same loss of it.
    """
    return cast(Tensor, _Whole.apply(rows)) if size() > 1 else rows  # type: ignore[no-untyped-call]


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        # All have the gradient of the same loss, and what they make of their rows of it is averaged, not summed.
        return part(gradients[0]) * size()


class _Mean(torch.autograd.Function):
    """The mean over all processes, whose gradient is the mean of their gradients."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        return _mean(value)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        return _mean(gradients[0])


def _mean(value: Tensor) -> Tensor:
    total = value.clone()
    dist.all_reduce(total)
    return total / size()


class _SharedBatchNorm(_BatchNorm):
    """Batch normalization over the parts of all processes, on a CPU too, which `torch.nn.SyncBatchNorm` refuses."""

    @classmethod
    def like(cls, norm: _BatchNorm) -> "_SharedBatchNorm":
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        made.load_state_dict(norm.state_dict())
        assert norm.running_mean is not None and norm.momentum is not None  # as all our networks have it
        return made.to(norm.running_mean.device)

    def _check_input_dim(self, _input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        others = [axis for axis in range(input.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(input.ndim)]
        values = input.float()
        mean = _Mean.apply(values.mean(others))  # type: ignore[no-untyped-call]
        centred = values - mean.view(shape)
        variance = _Mean.apply(centred.square().mean(others))  # type: ignore[no-untyped-call]
        if self.track_running_stats:
            self._remember(mean.detach(), variance.detach(), size() * input.numel() // input.shape[1])
        normalized = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normalized = normalized * self.weight.view(shape) + self.bias.view(shape)
        return cast(Tensor, normalized.to(input.dtype))

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
