"""Small networks with random weights, and sounds to score, for tests."""

import json
from dataclasses import asdict

import numpy as np
import torch
from torch import nn

from wakeword.detection.policy import Policy
from wakeword.export.graph import build, with_metadata
from wakeword.features.cmvn import Cmvn
from wakeword.features.frontend import FrontendConfig, log_mel
from wakeword.models.checkpoint import TrainedModel
from wakeword.models.config import DsTcnConfig
from wakeword.models.network import Network, score_stream

SMALL = DsTcnConfig(channels=16, kernel=3, dilations=[1, 2], stacks=2)
SLOW = SMALL.model_copy(update={"stride": 3})
POLICY = Policy(threshold=0.7, release=0.5, smoothing_frames=3, votes=1, votes_window=1, refractory_ms=500)


def trained(
    config: DsTcnConfig = SMALL, phrases: int = 1, mels: int = 20, floor: float = 1e-6, seed: int = 0
) -> TrainedModel:
    """Return a network in which nothing is as it was initialised: statistics, affine parts and biases are random.

    Its scores on `noise` spread over 0..1.
    """
    rng = np.random.default_rng([seed, 5])
    frontend = FrontendConfig(mels=mels, floor=floor)
    mean, std = rng.uniform(-9, -5, mels), rng.uniform(1.5, 3, mels)
    cmvn = Cmvn(mean.astype(np.float32), std.astype(np.float32), 100, frontend.fingerprint)
    torch.manual_seed(seed)
    network = Network(config, cmvn, floor, phrases)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.weight.data *= 3.0  # the farthest frames count too
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    network.eval()
    names = [f"phrase {index}" for index in range(phrases)]
    model = TrainedModel(network, frontend, names, "en", {"data": "abc", "params": "def"})
    head = network.body.head
    nn.init.normal_(head.weight, std=1e-3)  # far from where the sigmoid saturates, to see the logits
    nn.init.zeros_(head.bias)
    probabilities = trained_scores(model, noise(4.0)).astype(np.float64)
    logits = np.log(probabilities / (1 - probabilities))
    with torch.no_grad():
        low, high = np.percentile(logits, [5, 95], axis=0)
        scale = torch.from_numpy(4.0 / (high - low)).float()
        head.weight *= scale[:, None, None, None]
        head.bias.copy_(-scale * torch.from_numpy((low + high) / 2))
    return model


def trained_scores(model: TrainedModel, pcm: np.ndarray) -> np.ndarray:
    """Return what training's own code scores, `(frames, phrases)`."""
    return score_stream(model.network, log_mel(pcm, model.frontend)).numpy()


def with_policy(model: TrainedModel, policy: Policy = POLICY) -> bytes:
    """Return an exported file that a detector accepts."""
    policies = {phrase: asdict(policy) for phrase in model.phrases}
    extra = {"policy": json.dumps(policies), "figures": json.dumps({"frr": 0.5}), "licence": "CC0-1.0"}
    return with_metadata(build(model), extra)


def noise(seconds: float, seed: int = 0, amplitude: float = 8000.0) -> np.ndarray:
    """Return noise that swells and fades several times a second, `(samples,)` int16."""
    samples = round(seconds * 16_000)
    swelling = np.sin(np.arange(samples) / 2500) ** 4
    noisy = np.random.default_rng([seed, 1]).standard_normal(samples) * amplitude * swelling
    return np.clip(noisy, -32768, 32767).astype(np.int16)


def difficult_sounds() -> dict[str, np.ndarray]:
    """Return what lies at the edges of what audio can be, each `(16000,)` int16."""
    time = np.arange(16_000) / 16_000
    return {
        "silence": np.zeros(16_000, dtype=np.int16),
        "one bit": np.random.default_rng(3).integers(-1, 2, 16_000).astype(np.int16),
        "full-scale tone": np.round(32767 * np.sin(2 * np.pi * 1000 * time)).astype(np.int16),
        "full-scale square": np.where(np.sin(2 * np.pi * 150 * time) >= 0, 32767, -32768).astype(np.int16),
        "constant": np.full(16_000, -32768, dtype=np.int16),
        "click": np.where(np.arange(16_000) == 8000, 32767, 0).astype(np.int16),
    }
