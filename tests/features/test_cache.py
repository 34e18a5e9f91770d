"""Rows through the cache are the file's rows, and no more of them stay in memory than allowed."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from wakeword.base.errors import UserError
from wakeword.features.cache import RowCache
from wakeword.features.store import Segment, Stream, StreamSet, write

MELS = 40
BLOCK_KIB = 1024 * MELS * 2 // 1024


@pytest.fixture
def array(tmp_path: Path) -> np.memmap:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.standard_normal((50_000, MELS)).astype(np.float16))
    return np.load(tmp_path / "a.npy", mmap_mode="r")


@pytest.mark.parametrize("megabytes", [1, 1000])
def test_rows_are_those_of_the_file(array: np.memmap, megabytes: int) -> None:
    cache = RowCache(array, megabytes)
    rng = np.random.default_rng(1)
    pieces = [(int(rng.integers(49_000)), int(rng.integers(1, 1000))) for _ in range(300)]
    for first, count in [*pieces, (0, 1), (1023, 2), (0, 50_000), (49_999, 1), (1024, 1024)]:
        assert np.array_equal(cache.rows(first, count), array[first : first + count])


def test_no_more_is_kept_than_allowed_and_what_was_used_last_stays(array: np.memmap) -> None:
    cache = RowCache(array, 1)
    most = 1024 // BLOCK_KIB
    assert most == 12
    for block in range(most):
        cache.rows(block * 1024, 1)
    cache.rows(0, 1)
    assert (cache.hits, cache.misses) == (1, most)
    cache.rows(20 * 1024, 1)  # block 1 goes: block 0 was used after it
    cache.rows(0, 1)
    assert (cache.hits, cache.misses) == (2, most + 1)
    cache.rows(1024, 1)
    assert (cache.hits, cache.misses) == (2, most + 2)


def test_it_reads_whole_blocks_once_however_they_are_asked_for(array: np.memmap) -> None:
    cache = RowCache(array, 100)
    for first in range(0, 50_000 - 320, 100):
        cache.rows(first, 320)
    assert cache.misses == -(-50_000 // 1024)


@pytest.mark.parametrize(("first", "count"), [(-1, 2), (49_999, 2), (50_000, 1), (5, 0)])
def test_rows_that_are_not_there_are_an_error(array: np.memmap, first: int, count: int) -> None:
    with pytest.raises(IndexError, match="which has 50000"):
        RowCache(array, 1).rows(first, count)


def test_a_file_that_was_cut_short_is_an_error_that_names_it(array: np.memmap, tmp_path: Path) -> None:
    cache = RowCache(array, 1)
    os.truncate(tmp_path / "a.npy", 100_000)
    with pytest.raises(UserError, match=r"a\.npy was cut short.*dvc repro featurize"):
        cache.rows(40_000, 10)


def test_the_file_is_closed_with_the_cache(array: np.memmap, tmp_path: Path) -> None:
    def opened() -> int:
        folder = Path("/proc/self/fd")
        return sum(os.path.realpath(file) == str((tmp_path / "a.npy").resolve()) for file in folder.iterdir())

    before = opened()
    cache = RowCache(array, 1)
    assert opened() == before + 1
    del cache
    gc.collect()
    assert opened() == before


def test_windows_are_the_same_with_and_without_a_cache(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rendered = [
        (
            Stream(f"s{index}", "train", 0, 2000, [Segment(1.0, 2.0, "negative", "n", "g", "c", None, True)]),
            rng.standard_normal((2000, MELS)).astype(np.float32),
            np.zeros(2000 * 160, np.int16),
        )
        for index in range(3)
    ]
    mapped = write(tmp_path, "train", rendered, "f", MELS, 0.0)
    cached = StreamSet.open(tmp_path, "train", "f", cache_mb=1)
    for stream in mapped.streams:
        for first in (0, 77, 1680):
            expected = mapped.features(stream)[first : first + 320]
            assert np.array_equal(mapped.rows(stream.first_frame + first, 320), expected)
            assert np.array_equal(cached.rows(stream.first_frame + first, 320), expected)
    assert cached.cache is not None and cached.cache.misses > 0 and mapped.cache is None
