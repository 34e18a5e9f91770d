"""Windows are cut alike wherever the features lie."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wakeword.features.store import Stream, StreamSet, write
from wakeword.training.windows import ResidentFeatures, StreamedFeatures, features_for

ROWS, MELS, CPU = 5000, 40, torch.device("cpu")


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> StreamSet:
    folder: Path = tmp_path_factory.mktemp("streams")
    features = np.random.default_rng(0).standard_normal((ROWS, MELS)).astype(np.float32)
    write(folder, "train", [(Stream("s", "train", 0, ROWS, []), features, np.zeros(0, np.int16))], "f", MELS, 0.0)
    return StreamSet.open(folder, "train", "f", cache_mb=1)


@given(st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, 300)), min_size=1, max_size=8), st.integers(1, 400))
def test_a_window_holds_its_rows_and_repeats_the_last_that_it_may(
    streams: StreamSet, places: list[tuple[int, int]], frames: int
) -> None:
    first = np.array([row for row, _ in places])
    last = np.minimum(first + [more for _, more in places], ROWS - 1)
    read = StreamedFeatures(streams).windows(first, last, frames)
    held = ResidentFeatures(streams.all_features, CPU).windows(first, last, frames)
    assert read.dtype == held.dtype == torch.float32 and torch.equal(read, held)
    for window, begin, end in zip(read.numpy(), first, last, strict=True):
        assert np.array_equal(window, [streams.all_features[min(begin + frame, end)] for frame in range(frames)])


def test_features_are_copied_whole_however_many_there_are(monkeypatch: pytest.MonkeyPatch, streams: StreamSet) -> None:
    monkeypatch.setattr("wakeword.training.windows._CHUNK_ROWS", 999)
    every = np.arange(ROWS)
    held = ResidentFeatures(streams.all_features, CPU).windows(every, every, 1)[:, 0]
    assert np.array_equal(held.numpy(), streams.all_features.astype(np.float32))


def test_a_gpu_holds_what_leaves_half_of_it_free(monkeypatch: pytest.MonkeyPatch, streams: StreamSet) -> None:
    gpu, size = torch.device("cuda"), streams.all_features.nbytes
    monkeypatch.setattr("wakeword.training.windows.ResidentFeatures", lambda features, device: (features, device))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (2 * size, 4 * size))
    assert features_for(gpu, streams) == (streams.all_features, gpu)
    assert isinstance(features_for(CPU, streams), StreamedFeatures)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (2 * size - 1, 4 * size))
    assert isinstance(features_for(gpu, streams), StreamedFeatures)
