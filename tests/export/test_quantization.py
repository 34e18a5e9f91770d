import logging

import numpy as np
import onnx
import pytest

from tests.export.networks import noise, trained
from wakeword.base.errors import UserError
from wakeword.export.graph import build
from wakeword.export.quantization import _Stream, quantize
from wakeword.models.config import BcResNetConfig, ConformerConfig, CrnnConfig, DsTcnConfig, MixedNetConfig, ModelConfig
from wakeword.runtime.scorer import Scorer


@pytest.fixture(scope="module", params=[2, 3])
def files(request: pytest.FixtureRequest) -> tuple[bytes, bytes]:
    model = trained(DsTcnConfig(stride=request.param, channels=32, dilations=[1, 2], stacks=2), mels=40)
    return build(model), quantize(build(model, separable=True), noise(20.0, seed=1))


def test_scores_stay_close(files: tuple[bytes, bytes]) -> None:
    fp32, int8 = (Scorer(content).score(noise(20.0, seed=2)) for content in files)
    assert np.abs(fp32 - int8).mean() < 0.03
    assert np.corrcoef(fp32[:, 0], int8[:, 0])[0, 1] > 0.99


def test_scores_do_not_depend_on_chunks(files: tuple[bytes, bytes]) -> None:
    scorer, pcm = Scorer(files[1]), noise(3.0, seed=2)
    chunks = [scorer.score(chunk) for chunk in np.array_split(pcm, 70)]
    np.testing.assert_array_equal(np.concatenate(chunks), scorer.fresh().score(pcm))


def test_layers_are_in_integers_and_the_rest_is_not(files: tuple[bytes, bytes]) -> None:
    graph = onnx.load_from_string(files[1]).graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("QLinearConv") == 1 + 2 * 4
    assert [node.name for node in graph.node if node.op_type == "Conv"] == ["head"]
    assert "MatMul" in operators and "Sigmoid" in operators
    large = [tensor for tensor in graph.initializer if np.prod(tensor.dims) > 500]
    assert large and all(tensor.data_type == onnx.TensorProto.INT8 for tensor in large if "weight" in tensor.name)


@pytest.mark.parametrize("config", [MixedNetConfig(), CrnnConfig(), ConformerConfig(), BcResNetConfig(tau=2)])
def test_every_architecture_has_an_integer_file(config: ModelConfig) -> None:
    content = build(trained(config, phrases=2, mels=40), separable=True)
    first, second = (quantize(content, noise(10.0, seed=1)) for _ in range(2))
    assert first == second
    assert len(first) < 150_000 and len(first) < len(content) < 300_000
    pcm = noise(10.0, seed=2)
    fp32, int8 = (Scorer(file).score(pcm) for file in (content, first))
    assert np.abs(fp32 - int8).mean() < 0.08
    assert np.corrcoef(fp32.ravel(), int8.ravel())[0, 1] > 0.95
    graph = onnx.load_from_string(first).graph
    assert {node.domain for node in graph.node} == {""}
    large = [tensor for tensor in graph.initializer if np.prod(tensor.dims) > 500]
    floating = {tensor.name for tensor in large if tensor.data_type == onnx.TensorProto.FLOAT}
    assert len(large) > len(floating) and floating <= {"head.weight"}


def test_the_default_network_fits_its_budget() -> None:
    model = trained(DsTcnConfig(), mels=40)
    assert len(quantize(build(model, separable=True), noise(2.0))) < 100_000


def test_bytes_are_the_same_every_time_and_metadata_stays() -> None:
    content = build(trained(), separable=True)
    first, second = (quantize(content, noise(2.0)) for _ in range(2))
    assert first == second
    assert Scorer(first).info == Scorer(content).info


def test_calibration_is_a_stream() -> None:
    """The first second must be calibrated with the state that silence leaves, the second with that of the first."""
    content, pcm = build(trained(), separable=True), noise(4.0)
    reader, scorer = _Stream(content, pcm, 16_000), Scorer(content)
    for first in range(0, len(pcm), 16_000):
        np.testing.assert_allclose(reader.get_next()["state"], scorer._state, atol=1e-4)
        scorer.score(pcm[first : first + 16_000])
    assert reader.get_next() is None
    assert quantize(content, pcm) != quantize(content, pcm[:16_000])
    assert quantize(content, np.concatenate([pcm, np.zeros(8000, dtype=np.int16)])) == quantize(content, pcm)


def test_too_little_audio_is_refused_with_a_remedy() -> None:
    with pytest.raises(UserError, match=r"less than a second.*streams\.train_hours"):
        quantize(build(trained(), separable=True), noise(0.5))


def test_the_log_is_left_as_it_was() -> None:
    level = logging.getLogger().level
    quantize(build(trained(), separable=True), noise(1.0))
    assert logging.getLogger().level == level
