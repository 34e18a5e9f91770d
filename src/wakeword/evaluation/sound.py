"""The sound of streams, read from their file: mapped pages would count as memory, the more the longer the streams."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from wakeword.base.errors import UserError
from wakeword.features.frontend import HOP
from wakeword.features.store import Stream, StreamSet


class Span(NamedTuple):
    """Samples in a file of int16: which file, the byte at which they begin, and how many there are."""

    path: Path
    offset: int
    samples: int

    def read(self, first: int, last: int) -> np.ndarray:
        """Return the samples from `first` to before `last`, int16; fewer where the span ends before that."""
        first = max(0, min(first, self.samples))
        count = max(0, min(last, self.samples) - first)
        return np.fromfile(self.path, "<i2", count, offset=self.offset + 2 * first)


def span_of(streams: StreamSet, stream: Stream) -> Span:
    """Return where a stream's samples lie.

    Raises:
        UserError: the set ends before that stream.
        TypeError: the set is not of a file.
    """
    audio = streams.all_audio
    if not isinstance(audio, np.memmap) or audio.filename is None:
        raise TypeError("the sound of streams is read from a file; open them with StreamSet.open")
    first, samples = stream.first_frame * HOP, stream.frames * HOP
    if first + samples > len(audio):
        raise UserError(f"{audio.filename} ends before stream {stream.name}; run `dvc repro featurize`")
    return Span(Path(str(audio.filename)), audio.offset + first * audio.itemsize, samples)
