"""Writing outs so that they are whole or absent, and the same bytes every time."""

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wakeword.base.errors import UserError


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        # Below a file there is nothing to clear either; writing there will say what is wrong.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, on any failure it is removed.

    The block may create a file or a folder there. `path` itself is untouched until the block has ended well.

    Raises:
        UserError: the disk is full, or the place can't be written; the message names it.
    """
    temporary = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(temporary)
        yield temporary
        if path.is_dir():  # a folder can't be replaced in one step: the old one steps aside first
            aside = path.with_name(f".{path.name}.old.partial")
            _clear(aside)
            path.replace(aside)
            try:
                temporary.replace(path)
            except BaseException:
                aside.replace(path)
                raise
            _clear(aside)
        else:
            temporary.replace(path)
    except BaseException as failure:
        _clear(temporary)
        if isinstance(failure, OSError) and (told := write_failure(failure, path)):
            raise UserError(told) from failure
        raise


_WRITE_FAILURES = {
    28: "free some space on that disk and run the stage again",  # ENOSPC
    122: "raise the quota or free some space and run the stage again",  # EDQUOT
    27: "raise the limit on the size of files (`ulimit -f`) and run the stage again",  # EFBIG
    13: "make the folder writable for this user",  # EACCES
    30: "the file system is read-only; work in a writable folder",  # EROFS
    20: "a file stands where a folder is needed; move it away",  # ENOTDIR
    17: "something stands there already; move it away",  # EEXIST
}


def write_failure(failure: OSError, path: Path | str) -> str | None:
    """Return what to tell the user of a failure to write `path`, or None if it is of another kind."""
    remedy = _WRITE_FAILURES.get(failure.errno or 0)
    return f"cannot write {path}: {os.strerror(failure.errno or 0)}; {remedy}" if remedy else None


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """As `replacing`, for an out that is a folder: yields an empty folder to fill."""
    with replacing(path) as temporary:
        temporary.mkdir()
        yield temporary


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or none of it."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any, exact: Collection[str] = ()) -> None:
    """Write canonical JSON: sorted keys, floats to six significant digits, a newline at the end.

    Args:
        exact: keys whose numbers are written in full: a threshold rounded up loses the very event it was read off.

    Raises:
        ValueError: a float in `value` is NaN or infinite, which JSON can't hold; use None for "no value".
    """
    text = json.dumps(_rounded(value, exact), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_bytes(path, f"{text}\n".encode())


def _rounded(value: Any, exact: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {str(key): inner if key in exact else _rounded(inner, exact) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner, exact) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else value
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file that an earlier stage wrote.

    Raises:
        UserError: the file is missing or is no JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run the stage that writes it first (`dvc repro`)") from None
    except (OSError, ValueError) as failure:
        raise UserError(f"cannot read {path}: {failure}; remove it and run `dvc repro`") from failure


def hash_files(paths: Iterable[Path]) -> str:
    """Return 16 hex digits that identify the content of files, in the order given.

    Raises:
        UserError: a file is missing.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except FileNotFoundError:
            raise UserError(f"{path} is missing; run the stage that writes it first (`dvc repro`)") from None
    return digest.hexdigest()[:16]


def fingerprint(value: Any) -> str:
    """Return 16 hex digits that identify a JSON-like value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
