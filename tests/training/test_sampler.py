"""Windows show whole pieces of stream, and the masks say what the index says."""

import numpy as np
import pytest

from tests.training.conftest import BATCHES, LOSS
from wakeword.base.errors import UserError
from wakeword.features.store import StreamSet
from wakeword.models.network import Network
from wakeword.training.config import BatchConfig, LossConfig
from wakeword.training.sampler import WindowSampler


def make(streams: StreamSet, network: Network, batches: BatchConfig = BATCHES, seed: int = 1) -> WindowSampler:
    return WindowSampler(streams, 1, batches, LOSS, network.receptive_field, network.stride, seed)


both_strides = pytest.mark.parametrize("network", [2, 3], indirect=True)


@both_strides
def test_masks_lie_at_the_phrases_end_and_nowhere_near_it(streams: StreamSet, network: Network) -> None:
    sampler = make(streams, network)
    found = 0
    for step in range(30):
        batch = sampler.batch(step)
        for window, positive, negative in zip(batch.features, batch.positive, batch.negative, strict=True):
            stream, first = locate(streams, window)
            # A score is known when the last feature frame it sees has ended.
            times = (first + network.receptive_field + network.stride * np.arange(sampler.scores)) / 100
            spoken = np.zeros(sampler.scores, bool)
            for keyword in stream.keywords(0):
                spoken |= (times >= keyword.start_s) & (times <= keyword.end_s + 0.5)
            assert np.array_equal(negative[:, 0], ~spoken)
            if positive.any():
                found += 1
                wanted = times[positive[:, 0]]
                ends = [k.end_s for k in stream.keywords(0) if k.end_s - 0.1 <= wanted[0] <= k.end_s + 0.25]
                assert len(ends) == 1
                assert wanted.min() == pytest.approx(ends[0] - 0.1, abs=0.01 * network.stride + 1e-4)
                assert wanted.max() == pytest.approx(ends[0] + 0.25, abs=0.01 * network.stride + 1e-4)
    assert found >= 30 * round(BATCHES.size * BATCHES.positive_share)


def locate(streams: StreamSet, window: np.ndarray) -> tuple:
    """Find where a window was cut, by its content."""
    for stream in streams.streams:
        features = streams.features(stream).astype(np.float32)
        for first in np.flatnonzero((features[: len(features) - len(window) + 1] == window[0]).all(axis=1)):
            if np.array_equal(features[first : first + len(window)], window):
                return stream, int(first)
    raise AssertionError("the window is no piece of any stream")


@both_strides
def test_scores_of_a_window_are_as_many_as_the_network_gives(streams: StreamSet, network: Network) -> None:
    import torch

    sampler = make(streams, network)
    batch = sampler.batch(0)
    assert network(torch.from_numpy(batch.features)).shape == batch.positive.shape == batch.negative.shape


def test_a_batch_depends_on_seed_and_step_alone(streams: StreamSet, network: Network) -> None:
    one, two = make(streams, network), make(streams, network)
    two.batch(0)
    two.batch(1)
    assert np.array_equal(one.batch(5).features, two.batch(5).features)
    assert not np.array_equal(one.batch(5).features, one.batch(6).features)
    assert not np.array_equal(one.batch(5).features, make(streams, network, seed=2).batch(5).features)


def test_windows_too_short_for_the_network_are_refused(streams: StreamSet, network: Network) -> None:
    with pytest.raises(UserError, match=r"train\.batches\.window_s is 0\.5.*set it to at least"):
        make(streams, network, BatchConfig(size=8, window_s=0.5))


@pytest.mark.parametrize("network", [3], indirect=True)
def test_a_target_shorter_than_a_score_is_refused(streams: StreamSet, network: Network) -> None:
    short = LossConfig(early_ms=0, late_ms=20)
    with pytest.raises(UserError, match=r"early_ms and late_ms are 20 together.*every 30 ms"):
        WindowSampler(streams, 1, BATCHES, short, network.receptive_field, network.stride, seed=1)


def test_streams_without_a_phrase_are_refused(streams: StreamSet, network: Network) -> None:
    with pytest.raises(UserError, match=r"streams\.keyword_share"):
        make(streams, network, BatchConfig(size=8, window_s=25.0))
