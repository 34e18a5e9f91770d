"""Streams of a split on disk: features, audio where it is kept, and an index of what is heard when.

A split is three files, however many streams it has: `train.json`, `train.features.npy`, `train.audio.npy`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wakeword.base.errors import UserError
from wakeword.base.files import read_json, write_json
from wakeword.base.npy import ArrayWriter
from wakeword.features.cache import RowCache
from wakeword.features.frontend import HOP, SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Segment:
    """A clip as it lies in a stream.

    Attributes:
        start_s, end_s: when somebody speaks; for a keyword, its interval.
        label, kind, group, clip: of the clip.
        phrase: index of the wake phrase; None for anything else.
        synthetic: whether a synthesizer made it.
        phonemes: that are said, apart by spaces; None where they are not known.
    """

    start_s: float
    end_s: float
    label: str
    kind: str
    group: str
    clip: str
    phrase: int | None
    synthetic: bool
    phonemes: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """A continuous recording: `frames` feature frames of 10 ms from row `first_frame` of its split's arrays."""

    name: str
    condition: str
    first_frame: int
    frames: int
    segments: list[Segment]

    @property
    def seconds(self) -> float:
        return self.frames * HOP / SAMPLE_RATE

    def keywords(self, phrase: int) -> list[Segment]:
        return [segment for segment in self.segments if segment.phrase == phrase]


@dataclass(frozen=True)
class StreamSet:
    """All streams of a split, read lazily.

    Attributes:
        streams: in the order of their rows.
        frontend: fingerprint of the front-end that made the features.
        all_features: `(frames, mels)` float16, memory-mapped; every stream end to end.
        all_audio: `(samples,)` int16, memory-mapped: the streams from the first on, as far as audio was kept.
        cache: what `rows` reads through; None to read the memory map.
    """

    streams: list[Stream]
    frontend: str
    all_features: np.ndarray
    all_audio: np.ndarray
    cache: RowCache | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        split: str,
        frontend: str | None = None,
        cache_mb: int | None = None,
        audio: bool = True,
    ) -> "StreamSet":
        """Open what featurize wrote.

        Args:
            folder, split: as given to `write`.
            frontend: fingerprint of the front-end that the features must be of; None to take any.
            cache_mb: most MiB of features that `rows` keeps in memory; None to leave that to the system.
            audio: whether to open the audio too; without, its file need not be there.

        Raises:
            UserError: a file is missing or broken, or the features are of another front-end; the message names it.
        """
        path = folder / f"{split}.json"
        index = read_json(path)
        try:
            streams, made_by = [_stream(row) for row in index["streams"]], str(index["frontend"])
        except (KeyError, TypeError) as failure:
            raise UserError(f"{path} does not list streams ({failure}); run `dvc repro featurize`") from failure
        if frontend not in (None, made_by):
            raise UserError(f"{path} is of front-end {made_by}, but {frontend} is wanted; run `dvc repro featurize`")
        arrays = []
        for kind in ("features", "audio") if audio else ("features",):
            path = folder / f"{split}.{kind}.npy"
            try:
                arrays.append(np.load(path, mmap_mode="r"))
            except (OSError, ValueError) as failure:
                raise UserError(f"cannot read {path}: {failure}; run `dvc repro featurize`") from failure
        cache = RowCache(arrays[0], cache_mb) if cache_mb is not None else None
        return cls(streams, made_by, arrays[0], arrays[1] if audio else np.zeros(0, dtype=np.int16), cache)

    def features(self, stream: Stream) -> np.ndarray:
        """Return a stream's `(frames, mels)` float16 log-mel features."""
        return self.all_features[stream.first_frame : stream.first_frame + stream.frames]

    def rows(self, first: int, count: int) -> np.ndarray:
        """Return rows of `all_features`, `(count, mels)` float16, through the cache; they must not be written to."""
        return self.all_features[first : first + count] if self.cache is None else self.cache.rows(first, count)

    def audio(self, stream: Stream) -> np.ndarray:
        """Return a stream's `(samples,)` int16 PCM.

        Raises:
            ValueError: audio of this stream was not kept (see `write`).
        """
        end = (stream.first_frame + stream.frames) * HOP
        if end > len(self.all_audio):
            raise ValueError(f"the audio of stream {stream.name} was not kept; only the first streams of train have it")
        return self.all_audio[stream.first_frame * HOP : end]


def _stream(row: dict[str, Any]) -> Stream:
    return Stream(**{**row, "segments": [Segment(**segment) for segment in row["segments"]]})


def write(
    folder: Path,
    split: str,
    rendered: Iterable[tuple[Stream, np.ndarray, np.ndarray]],
    frontend: str,
    mels: int,
    audio_s: float,
) -> StreamSet:
    """Write the streams of a split, one at a time.

    Args:
        folder: where; three files are made there.
        split: names the files.
        rendered: for each stream its description (`first_frame` is filled in here), its features
            `(frames, mels)` and its PCM `(frames * HOP,)` int16.
        frontend: fingerprint of the front-end.
        mels: width of the features.
        audio_s: PCM is kept of the first streams up to this many seconds.
    """
    streams: list[Stream] = []
    first = 0
    with (
        ArrayWriter(folder / f"{split}.features.npy", np.float16, (mels,)) as features_file,
        ArrayWriter(folder / f"{split}.audio.npy", np.int16, ()) as audio_file,
    ):
        for stream, features, pcm in rendered:
            placed = Stream(stream.name, stream.condition, first, stream.frames, stream.segments)
            streams.append(placed)
            features_file.append(features.astype(np.float16))
            if (first + stream.frames) * HOP <= audio_s * SAMPLE_RATE:
                audio_file.append(pcm)
            first += stream.frames
    write_json(folder / f"{split}.json", {"frontend": frontend, "streams": [asdict(stream) for stream in streams]})
    return StreamSet.open(folder, split)
