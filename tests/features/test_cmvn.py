"""CMVN against NumPy's own statistics, and its refusal of foreign features."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wakeword.base.errors import UserError
from wakeword.features import cmvn


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(lambda s: sum(s) > 1), seed=st.integers(0, 99))
def test_blocks_give_the_statistics_of_the_whole(sizes: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).normal(1000.0, 2.0, size=(sum(sizes), 3)).astype(np.float32)
    blocks = np.split(values, np.cumsum(sizes)[:-1])
    found = cmvn.accumulate(blocks, "f")
    assert found.frames == len(values)
    assert np.allclose(found.mean, values.mean(axis=0, dtype=np.float64), rtol=1e-6)
    assert np.allclose(found.std, values.std(axis=0, dtype=np.float64), rtol=1e-5)


def test_half_precision_blocks_lose_nothing_in_the_sum() -> None:
    block = np.full((100_000, 2), -13.8, dtype=np.float16)
    block[::2] += np.float16(1.0)
    found = cmvn.accumulate([block] * 5, "f")
    assert np.allclose(found.mean, block.astype(np.float64).mean(axis=0), rtol=1e-6)


def test_no_frame_and_dead_bands_are_errors() -> None:
    with pytest.raises(UserError, match="no frame"):
        cmvn.accumulate([np.zeros((0, 3))], "f")
    with pytest.raises(UserError, match="band 0 never changes"):
        cmvn.accumulate([np.ones((10, 3))], "f")


def test_a_file_restores_the_same_floats_and_knows_its_front_end(tmp_path: Path) -> None:
    stored = cmvn.accumulate([np.random.default_rng(0).normal(size=(100, 5))], "abc")
    cmvn.save(tmp_path / "cmvn.json", stored)
    loaded = cmvn.load(tmp_path / "cmvn.json", "abc")
    assert np.array_equal(loaded.mean, stored.mean) and np.array_equal(loaded.std, stored.std)
    with pytest.raises(UserError, match=r"cmvn\.json was computed for front-end abc.*compute-cmvn"):
        cmvn.load(tmp_path / "cmvn.json", "xyz")
