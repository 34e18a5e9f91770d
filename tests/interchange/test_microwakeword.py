import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed; the extra interchange brings it")
pytest.importorskip("pymicro_wakeword", reason="pymicro-wakeword is not installed; the extra interchange brings it")

from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures

from tests.export.networks import noise
from tests.interchange.networks import micro_network
from wakeword.interchange import microwakeword
from wakeword.interchange.micro_frontend import NATS, micro_features
from wakeword.interchange.tflite import activation_ranges, convert

PCM = noise(12.0)
WINDOW, THRESHOLD = 5, 0.6


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest beside its file."""
    features = micro_features(PCM)
    network = micro_network(features)
    path = tmp_path_factory.mktemp("model") / "hey_you.json"
    content = convert(network, activation_ranges(network, [features]), unit=NATS)
    described = microwakeword.manifest("hey you", "en", "hey_you.tflite", THRESHOLD, WINDOW, 50_176)
    microwakeword.write(path, content, described)
    return path


def test_their_package_reads_the_manifest(written: Path) -> None:
    engine = MicroWakeWord.from_config(written)
    assert (engine.id, engine.wake_word, engine.trained_languages) == ("hey_you", "hey you", ["en"])
    assert (engine.probability_cutoff, engine.sliding_window_size, engine.stride) == (THRESHOLD, WINDOW, 2)
    # What ESPHome asks for beyond that.
    described = json.loads(written.read_text())
    assert described["version"] == 2 and described["type"] == "micro"
    assert {"feature_step_size", "tensor_arena_size", "minimum_esphome_version"} < described["micro"].keys()


def test_from_sound_to_detection_through_their_package_alone(written: Path) -> None:
    engine = MicroWakeWord.from_config(written)
    led = np.concatenate([np.zeros(320, dtype=np.int16), PCM])
    frames = list(MicroWakeWordFeatures().process_streaming(led.tobytes()))
    fired = [engine.process_streaming(frame) for frame in frames][engine.stride - 1 :: engine.stride]
    (scores,) = microwakeword.score(written, [micro_features(PCM)])
    means = np.convolve(scores, np.ones(WINDOW) / WINDOW)[: len(scores)]
    expected = (means > THRESHOLD) & (np.arange(len(scores)) >= WINDOW - 1)
    assert 0 < expected.sum() < len(expected)
    unsure = np.abs(means - THRESHOLD) < 1e-3
    np.testing.assert_array_equal(np.array(fired)[~unsure], expected[~unsure])


def test_each_recording_is_heard_from_the_start(written: Path) -> None:
    features = micro_features(PCM)
    first, again = microwakeword.score(written, [features, features])
    np.testing.assert_array_equal(first, again)


@given(st.floats(0.001, 0.999), st.integers(1, 12), st.data())
def test_a_device_fires_at_the_threshold_and_not_before(threshold: float, window: int, data: st.DataObject) -> None:
    outputs = data.draw(st.lists(st.integers(0, 255), min_size=window, max_size=window))
    cutoff = microwakeword.cutoff(threshold, window)
    fires = sum(outputs) > int(cutoff.probability * 255) * window  # as ESPHome 2026.6.5 computes it
    mean = sum(outputs) / window / 256
    assert fires == (mean >= cutoff.mean)
    if threshold < (254 + 1 / window) / 256:  # the highest cutoff that anything exceeds
        assert not (fires and mean < threshold - 1e-9)
        assert fires or mean < threshold + 1 / 256
    if window == 1:
        assert fires == (mean > cutoff.probability)  # as pymicro-wakeword does


def test_more_memory_for_more_network() -> None:
    small, large = microwakeword.arena_bytes(1000, 50), microwakeword.arena_bytes(5000, 150)
    assert small < large and small % 1024 == large % 1024 == 0
