"""Rows of an array on disk, kept in memory up to a limit.

A memory map would leave that limit to the system, which counts its pages as this process's memory or not as it likes.
"""

import os
import weakref
from collections import OrderedDict
from pathlib import Path

import numpy as np

from wakeword.base.errors import UserError

_BLOCK_ROWS = 1024


class RowCache:
    """Reads blocks of rows from a `.npy` file and keeps those that were used last. One thread at a time may use it.

    Args:
        array: the file, memory-mapped; it tells where its rows lie, and is not read.
        megabytes: most that is kept, in MiB; a single block where that is less.

    Attributes:
        hits, misses: blocks that were there when they were needed, and blocks that had to be read.
    """

    def __init__(self, array: np.memmap, megabytes: int) -> None:
        self.hits = self.misses = 0
        self._path, self._start = Path(str(array.filename)), int(array.offset)
        self._dtype, self._row_shape, self._rows = array.dtype, array.shape[1:], len(array)
        self._row_bytes = array.dtype.itemsize * int(np.prod(self._row_shape, dtype=np.int64))
        self._most = max(1, megabytes * 2**20 // (_BLOCK_ROWS * self._row_bytes))
        self._blocks: OrderedDict[int, np.ndarray] = OrderedDict()
        self._file = os.open(self._path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def rows(self, first: int, count: int) -> np.ndarray:
        """Return the `count` rows from `first` on, `(count, *row_shape)`; they must not be written to.

        Raises:
            IndexError: the array does not hold all of them, or none is asked for.
            UserError: the file no longer holds them.
        """
        if not 0 <= first < first + count <= self._rows:
            raise IndexError(f"rows {first} to {first + count} of {self._path}, which has {self._rows}")
        wanted = range(first // _BLOCK_ROWS, -(-(first + count) // _BLOCK_ROWS))
        blocks = [self._block(index) for index in wanted]
        joined = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        start = first - wanted.start * _BLOCK_ROWS
        return joined[start : start + count]

    def _block(self, index: int) -> np.ndarray:
        if index in self._blocks:
            self.hits += 1
            self._blocks.move_to_end(index)
            return self._blocks[index]
        self.misses += 1
        while len(self._blocks) >= self._most:
            self._blocks.popitem(last=False)
        self._blocks[index] = self._read(index)
        return self._blocks[index]

    def _read(self, index: int) -> np.ndarray:
        rows = min(_BLOCK_ROWS, self._rows - index * _BLOCK_ROWS)
        at = self._start + index * _BLOCK_ROWS * self._row_bytes
        content = os.pread(self._file, rows * self._row_bytes, at)
        if len(content) != rows * self._row_bytes:
            raise UserError(f"{self._path} was cut short while it was read; run `dvc repro featurize`")
        return np.frombuffer(content, self._dtype).reshape(rows, *self._row_shape)
