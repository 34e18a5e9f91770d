"""The trainable whole from log-mel features to logits: CMVN, then the architecture that `model.name` chooses."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from wakeword.features.cmvn import Cmvn
from wakeword.features.frontend import FRAME_MS
from wakeword.models.config import ModelConfig
from wakeword.models.ds_tcn import DsTcn

ARCHITECTURES = {"ds_tcn": DsTcn}


class Network(nn.Module):
    """Normalizes features by the training statistics, which it carries as buffers, and scores them.

    Attributes:
        body: the architecture.
        stride, receptive_field, state_size: of the architecture, see `DsTcn`.
        frame_shift_ms: audio for each score.
        silence: `(mels,)`, the log-mel frame of digital silence.
        phrases: how many wake phrases it scores.
    """

    silence: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig, cmvn: Cmvn, floor: float, phrases: int) -> None:
        super().__init__()
        self.phrases = phrases
        self.body = ARCHITECTURES[config.name](config, len(cmvn.mean), phrases)
        # Features lie frame by frame in memory; with weights to match, a step takes a quarter less time on a CPU.
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.stride: int = self.body.stride
        self.frame_shift_ms = self.stride * FRAME_MS
        self.receptive_field: int = self.body.receptive_field
        self.state_size: int = self.body.state_size
        self.register_buffer("silence", torch.full((len(cmvn.mean),), math.log(floor)))
        self.register_buffer("mean", torch.from_numpy(cmvn.mean.copy()))
        self.register_buffer("std", torch.from_numpy(cmvn.std.copy()))

    def normalize(self, features: Tensor) -> Tensor:
        """Bring each band of `(..., mels)` log-mel features to mean 0 and deviation 1 over the training set."""
        return (features - self.mean) / self.std

    def forward(self, features: Tensor) -> Tensor:
        """Score a window of log-mel features; see `DsTcn.forward` for shapes."""
        return self.body(self.normalize(features))  # type: ignore[no-any-return]

    def stream(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Score the next log-mel frames of a stream; see `DsTcn.stream` for shapes."""
        return self.body.stream(self.normalize(features), state)


def parameter_count(network: Network) -> int:
    """Return how many numbers training can change."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.inference_mode()
def score_stream(network: Network, features: np.ndarray, block: int = 30_000) -> Tensor:
    """Score a long stream that silence precedes, in blocks, so that memory does not grow with its length.

    Args:
        network: in evaluation mode.
        features: `(time, mels)` log-mel frames of the stream, any float type; may be memory-mapped.
        block: frames scored at once.

    Returns:
        Probabilities `(time // stride, phrases)` float32 on the CPU: what the exported file gives for the same audio.
    """
    device = network.mean.device
    state = silent_state(network)
    length = len(features) - len(features) % network.stride
    scores = []
    for first in range(0, length, block):
        part = torch.from_numpy(np.array(features[first : min(first + block, length)], dtype=np.float32)).to(device)
        logits, state = network.stream(part[None], state)
        scores.append(torch.sigmoid(logits[0]).cpu())
    return torch.cat(scores) if scores else torch.zeros(0, network.phrases)


@torch.inference_mode()
def silent_state(network: Network) -> Tensor:
    """Return the state `(1, state_size)` after digital silence for as long as the network remembers."""
    frames = -(-network.receptive_field // network.stride) * network.stride
    silence = network.silence.expand(1, frames, -1)
    return network.stream(silence, silence.new_zeros(1, network.state_size))[1]
