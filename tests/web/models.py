"""A model whose behaviour is known without training: it fires on a tone of 1 kHz and on no other sound."""

import json

import numpy as np
import torch
from torch import nn

from tests.export.networks import with_policy
from wakeword.export.graph import with_metadata
from wakeword.features.cmvn import Cmvn
from wakeword.features.frontend import SAMPLE_RATE, FrontendConfig, log_mel
from wakeword.models.checkpoint import TrainedModel
from wakeword.models.config import DsTcnConfig
from wakeword.models.network import Network

PHRASE = "hey whistle"
TONE_HZ, OTHER_HZ = 1000.0, 3000.0
FIGURES = {
    "frr": 0.0125,
    "frr_interval": [0.002, 0.067],
    "fah": 0.5,
    "fah_interval": [0.01, 2.89],
    "keywords": 80,
    "hours": 1.93,
}
_FRONTEND = FrontendConfig(mels=20, floor=1e-6)


def tone(hertz: float, seconds: float, amplitude: float = 0.3) -> np.ndarray:
    """Return `(samples,)` float32 at 16 kHz."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def tone_detector() -> bytes:
    """Return an exported file whose score is 1/2 where the tone's band is 20 dB below a loud tone.

    One channel of the first layer is that band, the blocks hand it on as it is, and the head puts the 1/2 there.
    """
    loud = log_mel(tone(TONE_HZ, 1.0), _FRONTEND)[-1]
    band, mean = int(loud.argmax()), np.full(_FRONTEND.mels, np.log(_FRONTEND.floor), dtype=np.float32)
    cmvn = Cmvn(mean, np.ones(_FRONTEND.mels, dtype=np.float32), 100, _FRONTEND.fingerprint)
    config = DsTcnConfig(channels=8, kernel=3, dilations=[1], stacks=1)
    network = Network(config, cmvn, _FRONTEND.floor, 1).eval()
    stem, head = network.body.stem[0], network.body.head
    assert isinstance(stem, nn.Conv2d)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" not in name and "stem.1" not in name:
                parameter.zero_()
        stem.weight[0, band, 0, -1] = 1.0
        head.weight[0, 0] = 2.0
        head.bias[0] = -2.0 * (loud[band] - mean[band] - np.log(100.0))
    model = TrainedModel(network, _FRONTEND, [PHRASE], "en", {"data": "abc", "params": "def"})
    return with_metadata(with_policy(model), {"figures": json.dumps({PHRASE: FIGURES})})
