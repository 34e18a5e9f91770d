"""A running average of a network's weights and buffers: what is judged, kept and shipped."""

import copy

import torch

from wakeword.models.network import Network


class Ema:
    """Exponential moving average of every floating-point tensor in a network's state, buffers included.

    Early in training the decay is lower, `(1 + updates) / (10 + updates)`, so that the random start is forgotten.

    Attributes:
        network: a copy of the network that holds the average, in evaluation mode.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Take in the network's present state."""
        self.updates += 1
        weight = 1.0 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages, present = self.network.state_dict(), network.state_dict()
        running = [name for name, average in averages.items() if average.is_floating_point()]
        # All in one call, as on a GPU each call costs more than the little that it computes.
        torch._foreach_lerp_([averages[name] for name in running], [present[name] for name in running], weight)
        for name in averages.keys() - set(running):
            averages[name].copy_(present[name])
