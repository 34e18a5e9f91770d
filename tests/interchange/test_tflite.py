from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed; the extra interchange brings it")
pytest.importorskip("pymicro_wakeword", reason="pymicro-wakeword is not installed; the extra interchange brings it")

from ai_edge_litert import schema_py_generated as schema

from tests.export.networks import SMALL, noise
from tests.interchange.networks import micro_network
from wakeword.base.errors import UserError
from wakeword.interchange import microwakeword
from wakeword.interchange.micro_frontend import CHANNELS, NATS, micro_features
from wakeword.interchange.tflite import activation_ranges, convert, operator_count
from wakeword.models.config import DsTcnConfig
from wakeword.models.network import Network, score_stream

FEATURES = micro_features(noise(20.0))
# https://github.com/esphome/esphome, components/micro_wake_word/streaming_model.cpp
ESPHOME_KNOWS = {
    "CALL_ONCE",
    "VAR_HANDLE",
    "RESHAPE",
    "READ_VARIABLE",
    "STRIDED_SLICE",
    "CONCATENATION",
    "ASSIGN_VARIABLE",
    "CONV_2D",
    "MUL",
    "ADD",
    "MEAN",
    "FULLY_CONNECTED",
    "LOGISTIC",
    "QUANTIZE",
    "DEPTHWISE_CONV_2D",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "PAD",
    "PACK",
    "SPLIT_V",
}


def converted(network: Network, phrase: int = 0) -> bytes:
    return convert(network, activation_ranges(network, [FEATURES]), phrase, unit=NATS)


def scored(folder: Path, content: bytes, features: np.ndarray) -> np.ndarray:
    """Return what microWakeWord's own package gives."""
    microwakeword.write(folder / "m.json", content, microwakeword.manifest("phrase", "en", "m.tflite", 0.5, 1, 1024))
    return microwakeword.score(folder / "m.json", [features])[0]


def logits(probabilities: np.ndarray) -> np.ndarray:
    clipped = np.clip(probabilities.astype(np.float64), 0.01, 0.99)
    return np.log(clipped / (1 - clipped))


@pytest.mark.parametrize(
    "config",
    [SMALL, DsTcnConfig(channels=24, kernel=5, dilations=[1, 2, 4], stacks=3), SMALL.model_copy(update={"stacks": 1})],
)
def test_their_package_scores_as_the_network_does(tmp_path: Path, config: DsTcnConfig) -> None:
    network = micro_network(FEATURES, config)
    heard = micro_features(noise(10.0, seed=4))
    theirs, ours = scored(tmp_path, converted(network), heard), score_stream(network, heard).numpy()[:, 0]
    assert theirs.shape == ours.shape
    assert np.ptp(ours) > 0.8
    assert np.corrcoef(logits(theirs), logits(ours))[0, 1] > 0.97
    assert np.abs(theirs - ours).mean() < 0.04


def test_each_phrase_has_a_file_of_its_own(tmp_path: Path) -> None:
    network = micro_network(FEATURES, phrases=2)
    ours = score_stream(network, FEATURES).numpy()
    assert np.abs(ours[:, 0] - ours[:, 1]).mean() > 0.1
    for phrase in (0, 1):
        theirs = scored(tmp_path, converted(network, phrase), FEATURES)
        assert np.abs(theirs - ours[:, phrase]).mean() < 0.04


def test_a_stream_begins_as_after_silence(tmp_path: Path) -> None:
    network = micro_network(FEATURES)
    silence = np.zeros((2 * network.receptive_field, CHANNELS), dtype=np.float32)
    theirs = scored(tmp_path, converted(network), silence)
    assert np.ptp(theirs) < 0.05  # what eight bits of state make of it
    assert theirs[0] == pytest.approx(float(score_stream(network, silence)[0, 0]), abs=0.06)


def test_esphome_has_every_operator_and_the_shapes_that_it_asks_for() -> None:
    network = micro_network(FEATURES)
    content = converted(network)
    model = schema.Model.GetRootAs(content)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    used = {names[model.OperatorCodes(index).BuiltinCode()] for index in range(model.OperatorCodesLength())}
    assert used <= ESPHOME_KNOWS
    main = model.Subgraphs(0)
    given, answer = main.Tensors(main.Inputs(0)), main.Tensors(main.Outputs(0))
    assert given.ShapeAsNumpy().tolist() == [1, network.stride, CHANNELS]
    assert answer.ShapeAsNumpy().tolist() == [1, 1]
    assert (given.Type(), answer.Type()) == (schema.TensorType.INT8, schema.TensorType.UINT8)
    # ESPHome quantizes by constants of its own: 26 is 127, 0 is -128.
    assert given.Quantization().Scale(0) == pytest.approx(26 / 255) and given.Quantization().ZeroPoint(0) == -128
    assert model.Version() == 3
    assert operator_count(content) == main.OperatorsLength() + model.Subgraphs(1).OperatorsLength()


def test_the_same_network_gives_the_same_bytes() -> None:
    network = micro_network(FEATURES)
    assert converted(network) == converted(network)


def test_an_architecture_that_cannot_be_written_is_refused() -> None:
    network = micro_network(FEATURES)
    network.body = torch.nn.Identity()  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"only the architecture ds_tcn .* not Identity"):
        convert(network, {})


def test_a_network_of_more_layers_than_esphome_can_hold_is_refused() -> None:
    network = micro_network(FEATURES, DsTcnConfig(channels=8, kernel=2, dilations=[1, 2, 1, 2], stacks=5))
    with pytest.raises(UserError, match=r"in 21 layers, ESPHome has room for 20; lower model\.stacks"):
        convert(network, {})
