import numpy as np
import pytest

pytest.importorskip("pymicro_wakeword", reason="pymicro-wakeword is not installed; the extra interchange brings it")

from pymicro_wakeword import MicroWakeWordFeatures

from tests.export.networks import noise
from wakeword.interchange.micro_frontend import CHANNELS, HOP, NATS, micro_features


def test_features_are_those_that_a_device_would_compute() -> None:
    pcm = noise(2.0)
    led = np.concatenate([np.zeros(320, dtype=np.int16), pcm])
    theirs = np.concatenate(list(MicroWakeWordFeatures().process_streaming(led.tobytes())), axis=1)[0]
    ours = micro_features(pcm)
    assert ours.shape == (len(pcm) // HOP, CHANNELS)
    np.testing.assert_allclose(ours, theirs * NATS, rtol=1e-6)


def test_a_frame_knows_nothing_of_what_comes_after_it() -> None:
    pcm = noise(1.0)
    cut = 37 * HOP
    np.testing.assert_array_equal(micro_features(pcm)[:37], micro_features(pcm[:cut]))
    other = pcm.copy()
    other[cut:] = 0
    np.testing.assert_array_equal(micro_features(other)[:37], micro_features(pcm)[:37])


def test_silence_is_0() -> None:
    assert not micro_features(np.zeros(16_000, dtype=np.int16)).any()


def test_a_rest_that_fills_no_frame_is_left_out() -> None:
    pcm = noise(0.5)
    np.testing.assert_array_equal(micro_features(pcm[: 10 * HOP + 70]), micro_features(pcm[: 10 * HOP]))
    assert micro_features(pcm[:100]).shape == (0, CHANNELS)
