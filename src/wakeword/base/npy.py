"""Writing a `.npy` file row by row, so that arrays larger than memory can be made."""

import io
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy_format


class ArrayWriter:
    """Appends rows to a `.npy` file; `np.load(path, mmap_mode="r")` reads it once it is closed.

    Args:
        path: the file, created anew.
        dtype: of the elements, stored little-endian.
        row_shape: shape of one row; `()` for a one-dimensional array.
    """

    def __init__(self, path: Path, dtype: type[np.generic], row_shape: tuple[int, ...]) -> None:
        self.rows = 0
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._row_shape = row_shape
        self._file = path.open("wb")
        self._file.write(self._header(rows=0))

    def append(self, rows: np.ndarray) -> None:
        """Add `(n, *row_shape)` elements at the end."""
        if rows.shape[1:] != self._row_shape:
            raise ValueError(f"rows of shape {rows.shape[1:]} do not fit an array of rows of shape {self._row_shape}")
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self.rows += len(rows)

    def __enter__(self) -> "ArrayWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._file.write(self._header(self.rows))
        finally:
            self._file.close()

    def _header(self, rows: int) -> bytes:
        """Return a header of one fixed length, whatever the number of rows."""
        buffer = io.BytesIO()
        shape = (rows, *self._row_shape)
        description = {"descr": npy_format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        npy_format.write_array_header_1_0(buffer, description)
        return buffer.getvalue()
