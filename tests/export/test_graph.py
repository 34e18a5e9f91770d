import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from tests.export.networks import SLOW, SMALL, difficult_sounds, noise, trained, trained_scores
from tests.models.networks import CONFIGS as ARCHITECTURES
from wakeword.export.graph import build, with_metadata
from wakeword.models.config import DsTcnConfig, ModelConfig
from wakeword.models.streaming import Past, Streaming
from wakeword.runtime.scorer import Scorer

OTHERS = {name: config for name, config in ARCHITECTURES.items() if config.name != "ds_tcn"}
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


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_score_as_trained_in_chunks_of_any_size(name: str) -> None:
    model = trained(OTHERS[name], phrases=2, mels=24)
    pcm = noise(4.0, seed=9)
    expected = trained_scores(model, pcm)
    assert expected.min() < 0.2 and expected.max() > 0.7
    scorer = Scorer(build(model))
    np.testing.assert_allclose(scorer.fresh().score(pcm), expected, atol=2e-5)
    chunks = np.array_split(pcm, np.sort(np.random.default_rng(1).integers(0, len(pcm), 40)))
    np.testing.assert_allclose(np.concatenate([scorer.score(chunk) for chunk in chunks]), expected, atol=2e-5)


@pytest.mark.parametrize("name", ["bc_resnet", "mixed_net", "crnn", "conformer"])
def test_files_of_other_architectures_are_as_dependable(name: str) -> None:
    model = trained(OTHERS[name], mels=24)
    content = build(model)
    assert build(model) == content == build(trained(OTHERS[name], mels=24))
    assert build(model, separable=True) == content
    stored = onnx.load_from_string(content)
    onnx.checker.check_model(stored, full_check=True)
    assert {(opset.domain, opset.version) for opset in stored.opset_import} == {("", 13)} and stored.ir_version <= 7
    assert stored.graph.input[1].type.tensor_type.shape.dim[1].dim_value == 240 + model.network.state_size
    assert [node.name for node in stored.graph.node if node.op_type == "Conv"][-1] == "head"
    for sound, pcm in difficult_sounds().items():
        scores = Scorer(content).score(pcm)
        # Bands that a full-scale tone leaves empty hold rounding alone, which a dozen random layers make larger.
        np.testing.assert_allclose(scores, trained_scores(model, pcm), atol=5e-4, err_msg=sound)


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


@pytest.mark.parametrize("config", OTHERS.values())
def test_what_lies_before_the_stated_receptive_field_changes_nothing(config: ModelConfig) -> None:
    scorer = Scorer(build(trained(config, mels=24)))
    pcm = noise(3.0)
    last = len(pcm) // scorer.info.hop_samples * scorer.info.hop_samples
    other = pcm.copy()
    other[: last - round(scorer.info.receptive_field_ms * 16)] = 12_000
    scores, otherwise = (scorer.fresh().score(sound) for sound in (pcm, other))
    np.testing.assert_allclose(otherwise[-1], scores[-1], atol=1e-6)
    assert abs(otherwise[:-1] - scores[:-1]).max() > 0.1


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


class Undecided(Streaming):
    """Scores by what it hears: no graph can say that."""

    stride, receptive_field, cache_shapes = 1, 1, [(20, 1, 1)]

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Conv2d(1, 1, 1)

    def embed(self, features: torch.Tensor, past: Past) -> torch.Tensor:
        x = past.before(features.transpose(1, 2).unsqueeze(2), 1)[..., 1:]
        return torch.special.bessel_j0(x[:, :1])


def test_a_network_that_onnx_cannot_express_is_refused() -> None:
    model = trained()
    model.network.body = Undecided()
    with pytest.raises(TypeError, match="Undecided can't be written as ONNX"):
        build(model)


@pytest.mark.parametrize("config", [SMALL, OTHERS["mixed_net"]])
def test_building_leaves_the_network_as_it_was(config: ModelConfig) -> None:
    model = trained(config, mels=24)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    build(model)
    assert not any(module.training for module in model.network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
