"""The corpus on disk: the samples of all clips in a few large files, and the manifest that says which lie where."""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from wakeword.base.errors import UserError
from wakeword.base.npy import ArrayWriter
from wakeword.corpus.manifest import Clip, Recording, content_hash, read_manifest, write_manifest

MANIFEST = "manifest.jsonl"
SHARD_SAMPLES = 127_999_936
"""So many int16 samples and the file's header make 256 MB."""


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:03d}.npy"


class ShardWriter:
    """Appends recordings to shards in a folder; a context manager that ends by writing the manifest.

    What a failing block leaves is no corpus: let `files.replacing_folder` clear it away.

    Args:
        folder: an existing, empty folder.
        shard_samples: most samples in a shard. A recording lies in one shard.
    """

    def __init__(self, folder: Path, shard_samples: int = SHARD_SAMPLES) -> None:
        self.folder = folder
        self.clips: list[Clip] = []
        self._shard_samples = shard_samples
        self._shard = -1
        self._writer: ArrayWriter | None = None

    def add(self, recording: Recording, identity: str | None = None) -> Clip:
        """Append a recording and return its clip, whose id is its content hash.

        Args:
            recording: no longer than a shard.
            identity: its content hash, where the caller has it already.
        """
        samples = len(recording.pcm)
        writer = self._with_room_for(samples)
        start, end = recording.active
        clip = Clip(
            id=identity or content_hash(recording.pcm),
            origin=recording.origin,
            origin_rate=recording.origin_rate,
            active_start=int(start),
            active_end=int(end),
            shard=self._shard,
            offset=writer.rows,
            samples=samples,
        )
        writer.append(recording.pcm)
        self.clips.append(clip)
        return clip

    def _with_room_for(self, samples: int) -> ArrayWriter:
        if samples > self._shard_samples:
            raise ValueError(f"a recording of {samples} samples does not fit a shard of {self._shard_samples}")
        if self._writer is None or self._writer.rows + samples > self._shard_samples:
            if self._writer is not None:
                self._writer.__exit__(None, None, None)
            self._shard += 1
            self._writer = ArrayWriter(_shard_path(self.folder, self._shard), np.int16, ())
        return self._writer

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)
        if kind is None:
            write_manifest(self.folder / MANIFEST, self.clips)


class Corpus:
    """The clips that ingest wrote, in the order of their ids; audio is mapped from disk, never loaded as a whole.

    May be pickled: a copy in another process maps the files anew.
    """

    def __init__(self, folder: Path, clips: list[Clip]) -> None:
        self.folder = folder
        self.clips = clips
        self._shards: dict[int, np.ndarray] = {}

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Open the folder that ingest wrote.

        Raises:
            UserError: it is missing or was written by another version.
        """
        return cls(folder, read_manifest(folder / MANIFEST))

    def audio(self, clip: Clip) -> np.ndarray:
        """Return the clip's samples, `(clip.samples,)` int16, read-only.

        Raises:
            UserError: the shard is missing or shorter than the manifest says.
        """
        shard = self._shards.get(clip.shard)
        if shard is None:
            path = _shard_path(self.folder, clip.shard)
            try:
                shard = self._shards[clip.shard] = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as failure:
                raise UserError(f"cannot read {path}: {failure}; run the ingest stage again") from failure
        if clip.offset + clip.samples > len(shard):
            path = _shard_path(self.folder, clip.shard)
            raise UserError(f"{path} ends before clip {clip.id} ({clip.origin.path}); run the ingest stage again")
        return shard[clip.offset : clip.offset + clip.samples]

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "clips": self.clips, "_shards": {}}
