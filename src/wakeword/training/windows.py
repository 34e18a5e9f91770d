"""Cutting many windows at once out of the features of training streams, where these lie: on disk, or on a GPU."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from wakeword.base import log
from wakeword.features.store import StreamSet
from wakeword.training.devices import to_device

_MOST_OF_FREE = 0.5  # of a GPU's memory that features may fill, the rest being for the network
_CHUNK_ROWS = 1 << 20  # copied to it at once


class Features(Protocol):
    """Where the features of training streams lie."""

    def windows(self, first: np.ndarray, last: np.ndarray, frames: int) -> Tensor:
        """Return windows of log-mel frames.

        Args:
            first: `(size,)` int64, the row of `StreamSet.all_features` that each begins with.
            last: `(size,)` int64, a row that none goes beyond; where a window is longer, that row is repeated.
            frames: length of all of them.

        Returns:
            `(size, frames, mels)` float32.
        """


class StreamedFeatures:
    """Features that are read from the file, through the cache of the streams where they have one.

    One thread at a time may use it.
    """

    def __init__(self, streams: StreamSet) -> None:
        self._streams = streams

    def windows(self, first: np.ndarray, last: np.ndarray, frames: int) -> Tensor:
        """See `Features.windows`; the result is on the CPU."""
        mels = self._streams.all_features.shape[1]
        cut = np.empty((len(first), frames, mels), dtype=np.float32)
        for window, row, end in zip(cut, first.tolist(), last.tolist(), strict=True):
            kept = min(frames, end - row + 1)
            window[:kept] = self._streams.rows(row, kept)
            window[kept:] = window[kept - 1]
        return torch.from_numpy(cut)


class ResidentFeatures:
    """Features that lie in a device's memory as a whole, so that cutting windows moves nothing but row numbers.

    Args:
        features: `(rows, mels)` float16, `StreamSet.all_features`.
        device: where to hold them.
    """

    def __init__(self, features: np.ndarray, device: torch.device) -> None:
        self._device = device
        self._features = torch.empty(features.shape, dtype=torch.float16, device=device)
        for row in range(0, len(features), _CHUNK_ROWS):
            self._features[row : row + _CHUNK_ROWS] = torch.from_numpy(np.array(features[row : row + _CHUNK_ROWS]))

    def windows(self, first: np.ndarray, last: np.ndarray, frames: int) -> Tensor:
        """See `Features.windows`; the result is on the device."""
        begin, end = (to_device(torch.from_numpy(rows), self._device)[:, None] for rows in (first, last))
        return self._features[torch.minimum(begin + torch.arange(frames, device=self._device), end)].float()


def features_for(device: torch.device, streams: StreamSet) -> Features:
    """Return the features of streams where a device that trains is served best: on a GPU, if they fit there."""
    if device.type != "cuda":
        return StreamedFeatures(streams)
    size, free = streams.all_features.nbytes, torch.cuda.mem_get_info(device)[0]
    fit = size <= _MOST_OF_FREE * free
    told = "the GPU holds the features" if fit else "features are read from the file, as half the GPU can't hold them"
    log.info(told, mib=size >> 20, free_mib=free >> 20)
    return ResidentFeatures(streams.all_features, device) if fit else StreamedFeatures(streams)
