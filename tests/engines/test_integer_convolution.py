from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from wakeword.engines import integer_convolution
from wakeword.engines.integer_convolution import as_products, products_are_exact

TIME = 40
exact_here = pytest.mark.skipif(not products_are_exact(), reason="onnxruntime saturates products on this machine")


def convolution(weights: np.ndarray, weights_zero: int, **options: Any) -> bytes:
    """Return a model of one integer convolution of `(1, channels, 40)` uint8, whose zero point is an input too."""
    integers = onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("ConvInteger", ["data", "weights", "data_zero", "weights_zero"], ["sums"], **options)],
        "one",
        [
            helper.make_tensor_value_info("data", integers.UINT8, [1, None, TIME]),
            helper.make_tensor_value_info("data_zero", integers.UINT8, []),
        ],
        [helper.make_tensor_value_info("sums", integers.INT32, None)],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.uint8(weights_zero), "weights_zero")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


def run(content: bytes, data: np.ndarray, data_zero: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"data": data, "data_zero": np.array(data_zero, np.uint8)})
    return np.asarray(sums)


def operations(content: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(content).graph.node}


@exact_here
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 9),
    outputs=st.integers(1, 9),
    taps=st.integers(1, 7),
    step=st.integers(1, 5),
    pads=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    zeros=st.tuples(st.integers(0, 255), st.integers(0, 255)),
    loud=st.booleans(),
)
def test_products_are_the_integers_of_the_convolution(
    seed: int,
    channels: int,
    outputs: int,
    taps: int,
    step: int,
    pads: tuple[int, int],
    zeros: tuple[int, int],
    loud: bool,
) -> None:
    """With numbers of all sizes, and with the extremes alone, whose sums 16 bits do not hold."""
    rng = np.random.default_rng(seed)
    values = [0, 255] if loud else np.arange(256)
    weights = rng.choice(values, (outputs, channels, taps)).astype(np.uint8)
    data = rng.choice(values, (1, channels, TIME)).astype(np.uint8)
    content = convolution(weights, zeros[1], dilations=[step], pads=list(pads))
    products = as_products(content)
    assert "ConvInteger" not in operations(products)
    np.testing.assert_array_equal(run(products, data, zeros[0]), run(content, data, zeros[0]))


@exact_here
@pytest.mark.parametrize("options", [{"strides": [2]}, {"group": 2}, {"auto_pad": "SAME_UPPER"}])
def test_other_convolutions_stay(options: dict[str, Any]) -> None:
    weights = np.full((4, 2 if "group" in options else 4, 3), 200, np.uint8)
    content = convolution(weights, 128, **options)
    assert operations(as_products(content)) == {"ConvInteger"}
    data = np.random.default_rng(0).integers(0, 256, (1, 4, TIME)).astype(np.uint8)
    np.testing.assert_array_equal(run(as_products(content), data, 7), run(content, data, 7))


def test_a_machine_that_saturates_convolves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integer_convolution, "products_are_exact", lambda: False)
    content = convolution(np.full((4, 4, 3), 200, np.uint8), 128)
    assert as_products(content) == content
