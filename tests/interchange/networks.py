"""A small network with random weights over microWakeWord's features, for tests."""

import numpy as np
import torch

from tests.export.networks import SMALL, trained
from wakeword.features.cmvn import Cmvn
from wakeword.interchange.micro_frontend import CHANNELS, FLOOR, FRONTEND
from wakeword.models.config import DsTcnConfig
from wakeword.models.network import Network, score_stream


def micro_network(features: np.ndarray, config: DsTcnConfig = SMALL, phrases: int = 1) -> Network:
    """Return a network whose scores on `features`, `(time, CHANNELS)`, spread over 0..1."""
    donor = trained(config, phrases, CHANNELS).network
    cmvn = Cmvn(features.mean(axis=0), features.std(axis=0) + np.float32(0.1), len(features), FRONTEND)
    network = Network(config, cmvn, FLOOR, phrases)
    network.body.load_state_dict(donor.body.state_dict())
    network.eval()
    head = network.body.head
    with torch.no_grad():
        head.weight *= 1e-3  # far from where the sigmoid saturates, to see the logits
        head.bias.zero_()
        logits = torch.logit(score_stream(network, features).double())
        low, high = np.percentile(logits.numpy(), [5, 95], axis=0)
        scale = torch.from_numpy(4.0 / (high - low)).float()
        head.weight *= scale[:, None, None, None]
        head.bias.copy_(-scale * torch.from_numpy((low + high) / 2))
    return network
