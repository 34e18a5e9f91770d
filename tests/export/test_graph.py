import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from tests.export.networks import SLOW, SMALL, difficult_sounds, noise, trained, trained_scores
from wakeword.export.graph import build, with_metadata
from wakeword.models.config import DsTcnConfig
from wakeword.runtime.scorer import Scorer

CONFIGS = [
    (SMALL, 1, 20),
    (SLOW, 2, 20),
    (DsTcnConfig(channels=8, kernel=2, dilations=[3], stacks=1), 1, 8),
    (DsTcnConfig(channels=24, kernel=5, dilations=[1, 2, 4], stacks=2), 3, 40),
    (DsTcnConfig(), 2, 40),
    (DsTcnConfig(stride=3), 1, 40),
]


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(("config", "phrases", "mels"), CONFIGS)
def test_scores_are_those_of_the_trained_network(config: DsTcnConfig, phrases: int, mels: int, separable: bool) -> None:
    model = trained(config, phrases, mels)
    pcm = noise(4.0, seed=9)
    expected = trained_scores(model, pcm)
    assert expected.min() < 0.2 and expected.max() > 0.7
    np.testing.assert_allclose(Scorer(build(model, separable)).score(pcm), expected, atol=2e-5)


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(("floor", "atol"), [(1e-6, 5e-5), (1e-9, 1e-3)])
def test_difficult_sounds_score_as_in_training(floor: float, atol: float, separable: bool) -> None:
    """With the lowest floor, bands far below a full-scale tone hold nothing but rounding, ours and theirs."""
    model = trained(floor=floor)
    scorer = Scorer(build(model, separable))
    for name, sound in difficult_sounds().items():
        np.testing.assert_allclose(scorer.fresh().score(sound), trained_scores(model, sound), atol=atol, err_msg=name)


@pytest.mark.parametrize("config", [SMALL, SLOW])
def test_scores_at_the_stream_start_assume_silence_before(config: DsTcnConfig) -> None:
    model = trained(config)
    scorer, pcm = Scorer(build(model)), noise(1.0)
    silence = np.zeros(scorer.info.hop_samples * 200, dtype=np.int16)
    late = scorer.fresh().score(np.concatenate([silence, pcm]))[200:]
    np.testing.assert_allclose(scorer.fresh().score(pcm), late, atol=1e-6)


@pytest.mark.parametrize("config", [SMALL, SLOW])
def test_the_stated_receptive_field_is_the_true_one(config: DsTcnConfig) -> None:
    model = trained(config)
    scorer = Scorer(build(model))
    span = round(scorer.info.receptive_field_ms * 16)
    pcm = noise(2.0)
    last = len(pcm) // scorer.info.hop_samples * scorer.info.hop_samples
    before = scorer.fresh().score(pcm)[-1]
    outside, inside = pcm.copy(), pcm.copy()
    outside[: last - span] = 12_000
    inside[last - span : last - span + 300] = 12_000
    np.testing.assert_allclose(scorer.fresh().score(outside)[-1], before, atol=1e-6)
    assert abs(scorer.fresh().score(inside)[-1] - before).max() > 1e-4


def test_bytes_are_the_same_every_time() -> None:
    assert build(trained()) == build(trained())
    assert build(trained(), separable=True) == build(trained(), separable=True)
    assert build(trained()) != build(trained(seed=1))


def test_the_file_loads_in_old_runtimes_and_stands_alone() -> None:
    content = build(trained(DsTcnConfig(), mels=40))
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert {(opset.domain, opset.version) for opset in model.opset_import} == {("", 13)}
    assert model.ir_version <= 7
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert len(content) < 230_000


def test_the_ports_are_the_contract() -> None:
    model = trained(phrases=2)
    session = onnxruntime.InferenceSession(build(model), providers=["CPUExecutionProvider"])
    state = 240 + model.network.state_size
    assert [(port.name, port.type, port.shape) for port in session.get_inputs()] == [
        ("audio", "tensor(float)", [1, "samples"]),
        ("state", "tensor(float)", [1, state]),
    ]
    assert [(port.name, port.type, port.shape) for port in session.get_outputs()] == [
        ("scores", "tensor(float)", [1, "frames", 2]),
        ("next_state", "tensor(float)", [1, state]),
    ]


def test_metadata_says_what_a_runtime_needs() -> None:
    model = replace(trained(), phrases=["hé computer"])
    stored = {entry.key: entry.value for entry in onnx.load_from_string(build(model)).metadata_props}
    assert stored == {
        "wakeword_format": "1",
        "phrases": '["hé computer"]',
        "language": "en",
        "sample_rate": "16000",
        "hop_samples": "320",
        "frame_shift_ms": "20",
        # Stem 4 frames, then stride 2: 2 stacks of contexts 2 and 4; 15 ms more than ten a frame for the window.
        "receptive_field_ms": str(10 * (4 + 2 * 2 * (2 + 4)) + 15),
        "fingerprints": json.dumps({"data": "abc", "params": "def"}),
    }


def test_metadata_tells_of_the_stride() -> None:
    stored = {entry.key: entry.value for entry in onnx.load_from_string(build(trained(SLOW))).metadata_props}
    # Stem 6 frames, then stride 3.
    field = str(10 * (6 + 3 * 2 * (2 + 4)) + 15)
    assert (stored["hop_samples"], stored["frame_shift_ms"], stored["receptive_field_ms"]) == ("480", "30", field)


def test_metadata_can_be_added_and_replaced() -> None:
    content = with_metadata(with_metadata(build(trained()), {"licence": "a", "note": "b"}), {"licence": "c"})
    stored = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    assert stored["licence"] == "c" and stored["note"] == "b" and stored["language"] == "en"


def test_an_unknown_architecture_is_refused() -> None:
    class Other(nn.Module):
        pass

    model = trained()
    model.network.body = Other()  # type: ignore[assignment]
    with pytest.raises(TypeError, match="Other"):
        build(model)


def test_building_leaves_the_network_as_it_was() -> None:
    model = trained()
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    build(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
