"""Small networks of every architecture in which nothing is as it was initialised, for tests."""

import torch
from torch import nn

from wakeword.models.config import (
    BcResNetConfig,
    ConformerConfig,
    CrnnConfig,
    DsTcnConfig,
    MixedNetConfig,
    ModelConfig,
)
from wakeword.models.network import Network

CONFIGS: dict[str, ModelConfig] = {
    "ds_tcn": DsTcnConfig(channels=16),
    "ds_tcn, stride 3": DsTcnConfig(channels=16, stride=3),
    "bc_resnet": BcResNetConfig(),
    "bc_resnet, wider, as published": BcResNetConfig(tau=2, stride=1, dilations=[1, 2, 4, 8], pool_frames=1),
    "mixed_net": MixedNetConfig(channels=24, stem_channels=16),
    "mixed_net, residual": MixedNetConfig(
        stride=2, channels=20, kernels=[[3, 5, 7], [9]], residual=True, head_frames=1
    ),
    "crnn": CrnnConfig(channels=8, hidden=16, context=12, dense=8),
    "crnn, two layers": CrnnConfig(stride=2, channels=4, hidden=8, layers=2, context=7),
    "conformer": ConformerConfig(channels=16, blocks=2),
    "conformer, one head": ConformerConfig(stride=2, channels=12, blocks=1, heads=1, context=4, kernel=2),
}


def randomize(network: Network, features: torch.Tensor, seed: int) -> None:
    """Give a network random affine parts and distances, and the statistics of normalizations that were trained.

    Statistics drawn at random let deep networks die out or say the same of everything; so they are those of real
    features `(frames, mels)`, off by some.
    """
    torch.manual_seed(seed)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for name, parameter in network.named_parameters():
        if parameter.squeeze().ndim <= 1 or "distance" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
        norm.train()
    with torch.no_grad():
        network(features[None])
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean += 0.2 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.4)
    network.eval()
    head = network.body.get_submodule("head")
    assert isinstance(head, nn.Conv2d)
    with torch.no_grad():  # logits that spread by 2, far from where the sigmoid is flat
        spread, mean = torch.std_mean(network(features[None])[0], dim=0)
        head.weight *= (2.0 / spread)[:, None, None, None]
        assert head.bias is not None
        head.bias.copy_((head.bias - mean) * 2.0 / spread)
