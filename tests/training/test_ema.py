"""The running average: weights and buffers, against the formula."""

import torch

from wakeword.models.network import Network
from wakeword.training.ema import Ema


def test_weights_and_buffers_follow_the_formula(network: Network) -> None:
    ema = Ema(network, decay=0.5)
    expected = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for update in range(1, 8):
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.add_(1)
        ema.update(network)
        decay = min(0.5, (1 + update) / (10 + update))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * tensor
            else:
                expected[name] = tensor.clone()
    for name, average in ema.network.state_dict().items():
        assert torch.allclose(average, expected[name], atol=1e-5), name


def test_the_trained_network_is_not_touched(network: Network) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    Ema(network, 0.9).update(network)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
