"""Convolutions of integers as products of matrices: the same integers, a third sooner for all of Kokoro.

onnxruntime multiplies matrices of uint8 by int8 with instructions made for it, and convolves uint8 by uint8 without.
"""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

_BOTTOM = 128
"""Weights are made int8 by this much less, and so is their zero point."""
_END = np.iinfo(np.int64).max


def as_products(content: bytes) -> bytes:
    """Return a model with its integer convolutions over time written as products, where this machine keeps them exact.

    Convolutions with a stride or in groups, or whose weights are computed, stay as they are.
    """
    if not products_are_exact():
        return content
    model = onnx.load_from_string(content)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    rewriter = _Rewriter(constants)
    nodes = [new for node in model.graph.node for new in rewriter.rewritten(node)]
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in rewriter.added.items())
    return bytes(model.SerializeToString())


def products_are_exact() -> bool:
    """Return whether onnxruntime multiplies uint8 by int8 without loss: older x86 saturates sums of two at 16 bits."""
    integers = onnx.TensorProto
    deep = 64
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "columns"], ["sums"])],
        "probe",
        [helper.make_tensor_value_info("rows", integers.UINT8, ["n", deep])],
        [helper.make_tensor_value_info("sums", integers.INT32, ["n", deep])],
        [numpy_helper.from_array(np.full((deep, deep), 127, np.int8), "columns")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    sums = [session.run(None, {"rows": np.full((rows, deep), 255, np.uint8)})[0] for rows in (1, deep)]
    return all(bool((found == 255 * 127 * deep).all()) for found in sums)


class _Rewriter:
    def __init__(self, constants: dict[str, np.ndarray]) -> None:
        self.constants = constants
        self.added: dict[str, np.ndarray] = {}

    def rewritten(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes that take the place of one."""
        options: dict[str, Any] = {option.name: helper.get_attribute_value(option) for option in node.attribute}
        if not self._fits(node, options):
            return [node]
        data, weights, data_zero, weights_zero = node.input
        (output,) = node.output
        _, channels, taps = self.constants[weights].shape
        before, after = options.get("pads", (0, 0))
        (step,) = options.get("dilations", (1,))
        nodes: list[onnx.NodeProto] = []

        def add(operation: str, inputs: list[str], **attributes: Any) -> str:
            name = f"{output}:{len(nodes)}"
            nodes.append(helper.make_node(operation, inputs, [name], name, **attributes))
            return name

        frames = add("Transpose", [data], perm=[0, 2, 1])
        if before or after:
            frames = add("Pad", [frames, self._numbers(0, before, 0, 0, after, 0), data_zero])
        if taps > 1:
            axis = self._numbers(1)
            shifted = []
            for tap in range(taps):
                left, cut = tap * step, (taps - 1 - tap) * step
                shifted.append(add("Slice", [frames, self._numbers(left), self._numbers(-cut if cut else _END), axis]))
            frames = add("Concat", shifted, axis=2)
        matrix = self.constants[weights].transpose(2, 1, 0).reshape(taps * channels, -1)
        sums = add(
            "MatMulInteger",
            [
                frames,
                self._lowered(weights, matrix),
                data_zero,
                self._lowered(weights_zero, self.constants[weights_zero]),
            ],
        )
        nodes.append(helper.make_node("Transpose", [sums], [output], output, perm=[0, 2, 1]))
        return nodes

    def _fits(self, node: onnx.NodeProto, options: dict[str, Any]) -> bool:
        return (
            node.op_type == "ConvInteger"
            and len(node.input) == 4
            and all(
                name in self.constants and self.constants[name].dtype == np.uint8
                for name in (node.input[1], node.input[3])
            )
            and self.constants[node.input[1]].ndim == 3
            and self.constants[node.input[3]].ndim == 0
            and options.get("auto_pad", b"NOTSET") == b"NOTSET"
            and options.get("group", 1) == 1
            and options.get("strides", [1]) == [1]
        )

    def _lowered(self, name: str, value: np.ndarray) -> str:
        """Name a constant's equal in int8."""
        self.added[f"{name}:int8"] = (value.astype(np.int16) - _BOTTOM).astype(np.int8)
        return f"{name}:int8"

    def _numbers(self, *values: int) -> str:
        name = f"numbers:{','.join(map(str, values))}"
        self.added[name] = np.array(values, np.int64)
        return name
