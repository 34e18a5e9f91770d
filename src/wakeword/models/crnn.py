"""A convolution over time and frequency, then a GRU over its last frames.

Source: Arik et al., "Convolutional Recurrent Neural Networks for Small-Footprint Keyword Spotting", arXiv:1703.05390
(2017), with a GRU (Cho et al., arXiv:1406.1078) in one direction.

A GRU that runs on and on has no bounded past: its score of a clip would depend on everything heard before, the loss
could not know which scores have their full context, and training windows would teach another network than the one
that streams. So here each score is that of a GRU that starts from zero `context` steps earlier, on a window, on a
stream and in the exported file alike. That bounds the receptive field exactly. Its price is `context` steps of the GRU
for each score instead of one.
"""

import torch
from torch import Tensor, nn

from wakeword.models.config import CrnnConfig
from wakeword.models.streaming import Past, Streaming, batch_size, windows

_BANDS, _BAND_STRIDE = 20, 8


class Crnn(Streaming):
    """The network; see `Streaming`."""

    def __init__(self, config: CrnnConfig, mels: int, phrases: int) -> None:
        super().__init__()
        self.stride = config.stride
        bands, taps = min(_BANDS, mels), 2 * config.stride
        kept_bands = (mels - bands) // _BAND_STRIDE + 1
        self.stem = nn.Sequential(
            nn.Conv2d(1, config.channels, (bands, taps), stride=(_BAND_STRIDE, config.stride), bias=False),
            nn.BatchNorm2d(config.channels),
            nn.ReLU(),
        )
        self.width, self.steps = config.channels * kept_bands, config.context
        self.gru = nn.GRU(self.width, config.hidden, num_layers=config.layers)
        self.dense = nn.Conv2d(config.hidden, config.dense, 1)
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(config.dense, phrases, 1)
        self.stem_context = taps - config.stride
        self.cache_shapes = [(1, mels, self.stem_context), (self.width, 1, self.steps - 1)]
        self.receptive_field = taps + config.stride * (self.steps - 1)

    def embed(self, features: Tensor, past: Past) -> Tensor:
        batch = batch_size(features)
        x = features.transpose(1, 2).unsqueeze(1)
        x = self.stem(past.before(x, self.stem_context))
        x = past.before(x.reshape(batch, self.width, 1, -1), self.steps - 1)
        steps = windows(x[:, :, 0], self.steps)  # (batch, width, scores, steps)
        _, last = self.gru(steps.permute(3, 0, 2, 1).reshape(self.steps, -1, self.width))
        y = last[-1].reshape(batch, -1, 1, self.gru.hidden_size).transpose(1, 3)
        return self.dropout(torch.relu(self.dense(y)))  # type: ignore[no-any-return]
