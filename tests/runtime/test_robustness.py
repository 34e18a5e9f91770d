"""What `benchmarks/soak.py` shows for a day, for a minute: nothing grows, drifts or is poisoned."""

import tracemalloc
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from benchmarks.soak import NASTY, resident_mib

from tests.export.networks import POLICY, noise, trained, with_policy
from wakeword.detection.policy import detect
from wakeword.runtime.detector import Detection, Detector

FIELD_S = 0.5  # longer than the receptive field and the smoothing


@cache
def loaded() -> Detector:
    return Detector(with_policy(trained()))


def streamed(audio: np.ndarray, seed: int = 0) -> tuple[list[Detection], np.ndarray]:
    """Return what is detected in chunks of 10 to 160 ms, and the highest score of each chunk that gives any."""
    detector, found, highest = loaded().fresh(), [], []
    cuts = np.cumsum(np.random.default_rng(seed).integers(160, 2560, len(audio) // 160))
    for start, stop in pairwise([0, *cuts[cuts < len(audio)], len(audio)]):
        found += detector.process(audio[start:stop])
        if stop // 320 > start // 320:
            highest.append((start // 320, stop // 320, detector.latest[0]))
    return found, np.array(highest)


def test_a_minute_in_chunks_is_a_minute_at_once() -> None:
    audio = noise(60.0)
    found, highest = streamed(audio)
    whole = loaded().scores(audio)[:, 0]
    assert [one.time_s for one in found] == [event.time_s for event in detect(whole, POLICY, 20)]
    expected = [whole[int(first) : int(last)].max() for first, last, _ in highest]
    np.testing.assert_allclose(highest[:, 2], expected, atol=1e-6)
    # The end of the stream is scored as if it were all that was ever heard.
    alone = loaded().scores(audio[-10 * 16_000 :])[:, 0]
    np.testing.assert_allclose(whole[-400:], alone[-400:], atol=1e-6)


@pytest.mark.parametrize("name", NASTY)
def test_what_a_broken_driver_sends_is_forgotten(name: str) -> None:
    clean = noise(6.0).astype(np.float32) / 32768
    dirty = clean.copy()
    dirty[20_000:36_000] = NASTY[name](clean[20_000:36_000])
    scores, expected = loaded().scores(dirty)[:, 0], loaded().scores(clean)[:, 0]
    assert np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1
    good_again = int((36_000 / 16_000 + FIELD_S) * 50)
    np.testing.assert_allclose(scores[good_again:], expected[good_again:], atol=1e-6)
    found, _ = streamed(dirty)
    assert [one.time_s for one in found] == [event.time_s for event in detect(scores, POLICY, 20)]


def test_a_long_stream_holds_no_more_than_a_short_one() -> None:
    detector, chunk = loaded().fresh(), noise(0.08)
    tracemalloc.start()
    try:
        held = []
        for _ in range(2):
            for _ in range(3000):
                detector.process(chunk)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert abs(held[1] - held[0]) < 10_000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what a process holds")
def test_onnxruntime_holds_no_more_either() -> None:
    detector, sizes = loaded().fresh(), np.random.default_rng(0).integers(160, 2560, 200)
    chunks = [noise(0.16)[:size] for size in sizes]
    held = []
    for _ in range(2):
        for _ in range(25):
            for chunk in chunks:
                detector.process(chunk)
        held.append(resident_mib())
    assert held[1] - held[0] < 2.0
