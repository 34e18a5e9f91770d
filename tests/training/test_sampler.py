"""Windows show whole pieces of stream, and the masks say what the index says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import BATCHES, LOSS
from wakeword.base.errors import UserError
from wakeword.features.store import Segment, Stream, StreamSet
from wakeword.models.network import Network
from wakeword.training.config import BatchConfig, LossConfig
from wakeword.training.sampler import WindowSampler, real_share, too_long


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
            stream, first = locate(streams, window.numpy())
            # A score is known when the last feature frame it sees has ended.
            times = (first + network.receptive_field + network.stride * np.arange(sampler.scores)) / 100
            spoken = np.zeros(sampler.scores, bool)
            for keyword in stream.keywords(0):
                spoken |= (times >= keyword.start_s) & (times <= keyword.end_s + 0.5)
            assert np.array_equal(negative[:, 0], ~spoken)
            if positive.any():
                found += 1
                wanted = times[positive[:, 0].numpy()]
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
    batch = make(streams, network).batch(0)
    assert network(batch.features).shape == batch.positive.shape == batch.negative.shape


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


SECONDS = 8  # of each stream below


def one_clip_each(*clips: tuple[str, bool, str, int | None]) -> StreamSet:
    """Return streams of one clip each, (name, synthetic, label, phrase), whose features tell which stream it is."""
    streams = []
    for index, (name, synthetic, label, phrase) in enumerate(clips):
        segment = Segment(3.0, 4.0, label, label, "g", name, phrase, synthetic)
        streams.append(Stream(f"s{index}", "train", index * SECONDS * 100, SECONDS * 100, [segment]))
    features = np.repeat(np.arange(len(clips), dtype=np.float16), SECONDS * 100)[:, None]
    return StreamSet(streams, "f", features, np.zeros(0, np.int16))


def drawn(streams: StreamSet, phrases: int = 1, steps: int = 60, **shares: object) -> list[Segment]:
    """Return the clips of the windows in which a phrase ends, and only those."""
    batches = BatchConfig(size=50, window_s=1.6, positive_share=0.9, **shares)
    sampler = WindowSampler(streams, phrases, batches, LOSS, 60, 2, seed=1)
    return [
        streams.streams[int(window[0, 0])].segments[0]
        for batch in map(sampler.batch, range(steps))
        for window, positive in zip(batch.features, batch.positive, strict=True)
        if positive.any()
    ]


def share_of_recordings(clips: list[Segment]) -> float:
    return sum(not clip.synthetic for clip in clips) / len(clips)


@pytest.mark.parametrize(
    ("real", "share"), [(0, 0.0), (10, 100 / 1000), (50, 500 / 1400), (90, 0.5), (200, 0.5), (1000, 1000 / 1900)]
)
def test_recordings_get_half_unless_few_would_be_learned_by_heart(real: int, share: float) -> None:
    assert real_share(real, 900) == pytest.approx(share)


def test_the_share_of_recordings_goes_by_how_many_there_are_not_by_how_often_they_lie_in_streams() -> None:
    # Streams give both kinds equal time: here 2 recordings 60 times, and 120 utterances once each.
    real = [(f"r{index % 2}", False, "positive", 0) for index in range(120)]
    synthetic = [(f"t{index}", True, "positive", 0) for index in range(120)]
    streams = one_clip_each(*real, *synthetic)
    assert share_of_recordings(drawn(streams)) == pytest.approx(20 / 140, abs=0.03)
    assert share_of_recordings(drawn(streams, real_share=0.7)) == pytest.approx(0.7, abs=0.03)
    assert share_of_recordings(drawn(streams, real_share=1.0)) > 0.95  # a window that falls anywhere may hold one


def test_a_phrase_keeps_its_share_whoever_says_it() -> None:
    first = [(f"r{index}", False, "positive", 0) for index in range(20)]
    first += [(f"t{index}", True, "positive", 0) for index in range(40)]
    second = [(f"u{index}", True, "positive", 1) for index in range(60)]
    clips = drawn(one_clip_each(*first, *second), phrases=2)
    assert sum(clip.phrase == 0 for clip in clips) / len(clips) == pytest.approx(0.5, abs=0.03)
    assert share_of_recordings([clip for clip in clips if clip.phrase == 0]) == pytest.approx(0.5, abs=0.03)


def test_shares_of_phrases_and_hard_negatives_are_kept_in_each_batch() -> None:
    clips = [("k", True, "positive", 0), ("h", True, "hard_negative", None)] + 200 * [("n", True, "negative", None)]
    batches = BatchConfig(size=40, window_s=1.6, positive_share=0.25, hard_negative_share=0.5)
    sampler = WindowSampler(one_clip_each(*clips), 1, batches, LOSS, 60, 2, seed=1)
    for step in range(10):
        found = sampler.batch(step).features[:, 0, 0]
        assert 10 <= (found == 0).sum() <= 12 and 20 <= (found == 1).sum() <= 22


def test_a_share_for_hard_negatives_falls_to_other_sound_where_there_are_none() -> None:
    clips = [("k", True, "positive", 0)] + 50 * [("n", True, "negative", None)]
    batches = BatchConfig(size=40, window_s=1.6, positive_share=0.25, hard_negative_share=0.5)
    sampler = WindowSampler(one_clip_each(*clips), 1, batches, LOSS, 60, 2, seed=1)
    assert (sampler.batch(0).features[:, 0, 0] > 0).sum() > 20


def test_shares_that_leave_nothing_for_other_sound_are_refused() -> None:
    with pytest.raises(ValueError, match="leave no window for other sound"):
        BatchConfig(positive_share=0.5, hard_negative_share=0.5)
    with pytest.raises(ValueError, match=r"real_share is 1\.5"):
        BatchConfig(real_share=1.5)


def test_what_is_fed_back_gets_its_share_until_something_else_is() -> None:
    clips = [("k", True, "positive", 0)] + 300 * [("n", True, "negative", None)]
    batches = BatchConfig(size=40, window_s=1.6, positive_share=0.25)
    sampler = WindowSampler(one_clip_each(*clips), 1, batches, LOSS, 60, 2, seed=1)
    before = sampler.batch(3)
    sampler.feed_back([("s7", 2.0), ("s9", 5.0), ("s9", 0.0), ("gone", 1.0)], 0.5)  # at 0 s nothing can be scored
    found = [int(window[0, 0]) for step in range(20) for window in sampler.batch(step).features]
    assert found.count(7) / len(found) == pytest.approx(0.25, abs=0.05)
    assert found.count(9) / len(found) == pytest.approx(0.25, abs=0.05)
    assert found.count(0) / len(found) == pytest.approx(0.25, abs=0.05)
    sampler.feed_back([("s4", 2.0)], 0.5)
    assert [int(window[0, 0]) for window in sampler.batch(0).features].count(4) >= 20
    sampler.feed_back([], 0.5)
    assert np.array_equal(sampler.batch(3).features, before.features)


def test_shares_that_are_rounded_up_make_no_larger_batch() -> None:
    clips = [("k", True, "positive", 0), ("h", True, "hard_negative", None)] + 20 * [("n", True, "negative", None)]
    batches = BatchConfig(size=8, window_s=1.6, positive_share=0.45, hard_negative_share=0.45)
    sampler = WindowSampler(one_clip_each(*clips), 1, batches, LOSS, 60, 2, seed=1)
    sampler.feed_back([("s7", 2.0)], 0.08)
    assert len(sampler.batch(0).features) == 8  # 4 and 4, and 1 that finds no room


def test_a_phrase_longer_than_the_network_sees_is_told_of(streams: StreamSet) -> None:
    # It lasts 0.4 s in every stream.
    assert too_long(streams.streams, ["rise"], 41) == []
    (told,) = too_long(streams.streams, ["rise"], 39)
    assert "'rise' takes 0.40 s" in told and "sees 0.39 s" in told


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(0.0, 7.0), st.floats(0.1, 1.5), st.sampled_from([None, 0, 1])), min_size=1, max_size=12
    ),
    st.sampled_from([2, 3]),
    st.sampled_from([LOSS.early_ms, 700]),
)
def test_masks_are_those_of_each_window_and_phrase_by_itself(
    clips: list[tuple[float, float, int | None]], stride: int, early_ms: int
) -> None:
    """What lies before a phrase never fires, even where a score may come earlier than the phrase is long."""
    loss = LOSS.model_copy(update={"early_ms": early_ms})
    spoken = [Segment(3.0, 4.0, "positive", "positive", "g", "c", 0, True)] + [
        Segment(start_s, start_s + length_s, "any", "any", "g", "c", phrase, True)
        for start_s, length_s, phrase in sorted(clips, key=lambda clip: clip[0])
    ]
    rows = np.arange(SECONDS * 100)
    features = np.stack([rows // 100, rows % 100], axis=1).astype(np.float16)
    streams = StreamSet([Stream("s", "train", 0, len(rows), spoken)], "f", features, np.zeros(0, np.int16))
    batches = BatchConfig(size=20, window_s=2.0, positive_share=0.5)
    sampler = WindowSampler(streams, 2, batches, loss, 60, stride, seed=1)
    batch = sampler.batch(0)
    for window, positive, negative in zip(batch.features, batch.positive, batch.negative, strict=True):
        first = int(window[0] @ window.new_tensor([100.0, 1.0]))
        times = first / 100 + (60 + stride * np.arange(sampler.scores)) / 100
        for phrase in (0, 1):
            fires, silent = np.zeros(len(times), bool), np.ones(len(times), bool)
            for segment in (segment for segment in spoken if segment.phrase == phrase):
                silent &= (times < segment.start_s) | (times > segment.end_s + LOSS.tolerance_ms / 1000)
                early, late = segment.end_s - early_ms / 1000, segment.end_s + LOSS.late_ms / 1000
                if not fires.any() and times[0] <= early and late <= times[-1] + (stride - 1) / 100:
                    fires = (times >= max(early, segment.start_s)) & (times <= late)
            assert np.array_equal(positive[:, phrase], fires) and np.array_equal(negative[:, phrase], silent)
