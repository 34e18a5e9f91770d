"""A trained network as an int8 streaming TFLite file: weights and activations in 8 bits, the state in variables.

The graph is written operator by operator, from those that microWakeWord's interpreters know (TFLite Micro in ESPHome,
TFLite in pymicro-wakeword). Quantization follows TFLite's 8-bit specification: activations asymmetric by their
extremes on training features, weights symmetric for each output channel, biases in 32 bits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import flatbuffers
import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn

from wakeword.base.errors import UserError
from wakeword.models.ds_tcn import DsTcn
from wakeword.models.network import Network, silent_state

# What ESPHome's integer arithmetic turns its features into, so no choice of ours: 0 to 26 on -128 to 127.
INPUT_SCALE = 26.0 / 255.0
_MOST_VARIABLES = 20  # that ESPHome has room for
_LARGEST_LOGIT = 8.0  # beyond it the probability does not change in 8 bits
_INT8, _INT32, _UINT8, _RESOURCE = (getattr(schema.TensorType, name) for name in ("INT8", "INT32", "UINT8", "RESOURCE"))
_RELU, _LINEAR = schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.NONE
_VALID = schema.Padding.VALID
_VERSIONS = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "ADD": 2,
    "LOGISTIC": 2,
    "CONCATENATION": 2,
    "STRIDED_SLICE": 2,
}
Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Quantization:
    """Real value = scale * (stored - zero point); `(channels,)` scales for weights."""

    scale: np.ndarray
    zero_point: int = 0
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Wire:
    """A tensor of the graph: its index, its shape, its quantization."""

    index: int
    shape: tuple[int, ...]
    quantization: Quantization


@torch.inference_mode()
def activation_ranges(network: Network, recordings: Iterable[np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest value at each point of the network that the file holds in 8 bits.

    Args:
        network: in evaluation mode.
        recordings: training features, each `(time, mels)`, longer than the receptive field.
    """
    body = convertible(network)
    seen: dict[str, tuple[float, float]] = {}

    def widen(name: str, x: Tensor) -> None:
        low, high = seen.get(name, (0.0, 0.0))
        seen[name] = min(low, float(x.min())), max(high, float(x.max()))

    def hook(name: str) -> Any:
        return lambda _module, _inputs, output: widen(name, output)

    points: dict[str, nn.Module] = {"stem": body.stem, "head": body.head}
    for index, block in enumerate(_blocks(body)):
        points |= {f"depthwise_{index}": block.depthwise, f"pointwise_{index}": block.norm, f"block_{index}": block}
    ends: list[Tensor] = []
    handles = [module.register_forward_hook(hook(name)) for name, module in points.items()]
    handles += [
        block.register_forward_hook(lambda _module, _inputs, output: ends.append(output))
        for block in _blocks(body)[body.per_stack - 1 :: body.per_stack]
    ]
    try:
        for features in recordings:
            ends.clear()
            network(torch.from_numpy(np.array(features, dtype=np.float32))[None])
            total = ends[-1]
            for index, scale in enumerate(ends[:-1]):
                total = total + scale[..., scale.shape[3] - total.shape[3] :]
                widen(f"sum_{index}", total)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def convert(network: Network, ranges: Ranges, phrase: int = 0, unit: float = 1.0) -> bytes:
    """Return the file: int8 features `(1, stride, mels)` in, the phrase's probability `(1, 1)` uint8 out.

    It keeps what it has heard in variables, which begin as after silence.

    Args:
        network: in evaluation mode.
        ranges: of `activation_ranges`.
        phrase: which of the network's scores.
        unit: what 1 in the file's input is in the network's features.

    Raises:
        UserError: see `convertible`.
    """
    body = convertible(network)
    states = _initial_states(network)
    graph = _Graph()
    x = graph.input((1, body.stride, len(network.mean)), Quantization(np.array([INPUT_SCALE]), -128))
    graph.call_once()
    x = graph.reshape(x, (1, body.stride, 1, len(network.mean)))
    x = graph.remembered(x, states[0] / unit)
    weight, bias = _folded_stem(network, body, unit)
    x = graph.conv(x, weight, bias, ranges["stem"], stride=body.stride, activation=_RELU)
    ends = []
    for index, block in enumerate(_blocks(body)):
        heard = graph.remembered(x, states[index + 1])
        y = graph.depthwise(
            heard, _array(block.depthwise.weight), block.depthwise.dilation[1], ranges[f"depthwise_{index}"]
        )
        weight, bias = _folded(_array(block.pointwise.weight), block.norm)
        y = graph.conv(y, weight.transpose(0, 2, 3, 1), bias, ranges[f"pointwise_{index}"])
        x = graph.add(y, x, ranges[f"block_{index}"], _RELU)
        if (index + 1) % body.per_stack == 0:
            ends.append(x)
    for index, scale in enumerate(ends[:-1]):
        x = graph.add(x, scale, ranges[f"sum_{index}"], _LINEAR)
    x = graph.reshape(x, (1, x.shape[3]))
    head = _array(body.head.weight)[phrase : phrase + 1, :, 0, 0]
    low, high = ranges["head"]
    logits = max(low, -_LARGEST_LOGIT), min(high, _LARGEST_LOGIT)
    graph.probability(graph.fully_connected(x, head, _array(body.head.bias)[phrase : phrase + 1], logits))
    return graph.file()


def operator_count(content: bytes) -> int:
    """Return how many operators a file has in all."""
    model = schema.Model.GetRootAs(content)
    return sum(model.Subgraphs(index).OperatorsLength() for index in range(model.SubgraphsLength()))


def convertible(network: Network) -> DsTcn:
    """Return the architecture of a network that `convert` can write.

    Raises:
        UserError: it has no such form yet, or has more layers than ESPHome can hold.
    """
    if not isinstance(network.body, DsTcn):
        raise UserError(
            f"only the architecture ds_tcn can be written as TFLite, not {type(network.body).__name__}; "
            "set model.name to ds_tcn"
        )
    remembering = 1 + len(network.body.blocks)
    if remembering > _MOST_VARIABLES:
        raise UserError(
            f"the network remembers something in {remembering} layers, ESPHome has room for {_MOST_VARIABLES}; lower "
            "model.stacks or shorten model.dilations"
        )
    return network.body


def _blocks(body: DsTcn) -> list[Any]:
    return list(body.blocks)


def _array(parameter: Any) -> np.ndarray:
    array: np.ndarray = parameter.detach().numpy().astype(np.float64)
    return array


def _folded(weight: np.ndarray, norm: nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight `(out, in, 1, taps)` and the bias of a convolution that does its batch norm's work too."""
    gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    return weight * gain[:, None, None, None], _array(norm.bias) - _array(norm.running_mean) * gain


def _folded_stem(network: Network, body: DsTcn, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the stem's weight `(out, taps, 1, mels)` and bias with CMVN and the file's unit folded in."""
    weight, bias = _folded(_array(body.stem[0].weight), cast(nn.BatchNorm2d, body.stem[1]))
    weight = weight.transpose(0, 3, 2, 1) / _array(network.std)
    bias = bias - (weight * _array(network.mean)).sum(axis=(1, 2, 3))
    return weight * unit, bias


def _initial_states(network: Network) -> list[np.ndarray]:
    """Return what each layer remembers of silence, `(1, frames, 1, channels)`; the stem's as features of its own."""
    body = convertible(network)
    layers: list[Any] = [body.stem, *_blocks(body)]
    shapes = [(layer.channels_in, layer.context) for layer in layers]
    caches = silent_state(network).split([channels * frames for channels, frames in shapes], dim=1)
    states = [
        _array(cache).reshape(channels, frames).T[None, :, None, :]
        for cache, (channels, frames) in zip(caches, shapes, strict=True)
    ]
    states[0] = states[0] * _array(network.std) + _array(network.mean)
    return states


def _activation(low: float, high: float) -> Quantization:
    """Return the quantization of values from `low` to `high`, in which 0 is exact."""
    low, high = min(low, 0.0), max(high, 1e-6)
    scale = (high - low) / 255.0
    return Quantization(np.array([scale]), round(-128 - low / scale))


def _quantized(x: np.ndarray, to: Quantization) -> np.ndarray:
    stored: np.ndarray = np.clip(np.round(x / to.scale + to.zero_point), -128, 127).astype(np.int8)
    return stored


class _Graph:
    """The file in the making: one subgraph that scores, one that sets the variables at first."""

    def __init__(self) -> None:
        self.buffers = [schema.BufferT()]
        self.codes: dict[str, int] = {}
        self.scoring, self.starting = schema.SubGraphT(), schema.SubGraphT()
        for subgraph, name in ((self.scoring, "main"), (self.starting, "start")):
            subgraph.name, subgraph.tensors, subgraph.operators = name, [], []
            subgraph.inputs, subgraph.outputs = [], []
        self.variables = 0

    def input(self, shape: tuple[int, ...], quantization: Quantization) -> Wire:
        wire = self._wire(shape, quantization, "features")
        self.scoring.inputs = [wire.index]
        return wire

    def call_once(self) -> None:
        self._operator("CALL_ONCE", [], [], schema.CallOnceOptionsT(initSubgraphIndex=1))

    def reshape(self, x: Wire, shape: tuple[int, ...]) -> Wire:
        wire = self._wire(shape, x.quantization, "reshaped")
        target = self._constant(np.array(shape, dtype=np.int32), "shape")
        self._operator("RESHAPE", [x.index, target], [wire.index], schema.ReshapeOptionsT(newShape=list(shape)))
        return wire

    def remembered(self, x: Wire, start: np.ndarray) -> Wire:
        """Return `x` after the frames before it, kept by a variable; at first `start`, `(1, frames, 1, channels)`."""
        frames = start.shape[1]
        first = _quantized(start, x.quantization)
        inner, handle = (self._variable(subgraph) for subgraph in (self.starting, self.scoring))
        self.variables += 1
        value = self._constant(first, "start", x.quantization, self.starting)
        self._operator("ASSIGN_VARIABLE", [inner, value], [], schema.AssignVariableOptionsT(), self.starting)
        before = self._wire(start.shape, x.quantization, "before")
        self._operator("READ_VARIABLE", [handle], [before.index], schema.ReadVariableOptionsT())
        whole = self._wire((1, frames + x.shape[1], 1, x.shape[3]), x.quantization, "heard")
        options = schema.ConcatenationOptionsT(axis=1, fusedActivationFunction=_LINEAR)
        self._operator("CONCATENATION", [before.index, x.index], [whole.index], options)
        kept = self._wire(start.shape, x.quantization, "kept")
        corners = [(0, x.shape[1], 0, 0), whole.shape, (1, 1, 1, 1)]
        bounds = [self._constant(np.array(corner, dtype=np.int32), "slice") for corner in corners]
        self._operator("STRIDED_SLICE", [whole.index, *bounds], [kept.index], schema.StridedSliceOptionsT())
        self._operator("ASSIGN_VARIABLE", [handle, kept.index], [], schema.AssignVariableOptionsT())
        return whole

    def conv(
        self,
        x: Wire,
        weight: np.ndarray,
        bias: np.ndarray,
        reach: tuple[float, float],
        stride: int = 1,
        activation: int = _LINEAR,
    ) -> Wire:
        """Convolve with `(out, taps, 1, in)` weights."""
        scales = np.abs(weight).max(axis=(1, 2, 3)) / 127.0
        options = schema.Conv2DOptionsT(
            padding=_VALID,
            strideW=1,
            strideH=stride,
            dilationWFactor=1,
            dilationHFactor=1,
            fusedActivationFunction=activation,
        )
        stored = self._weights(weight, Quantization(_nonzero(scales), 0, 0))
        frames = (x.shape[1] - weight.shape[1]) // stride + 1
        return self._weighted("CONV_2D", x, stored, bias, (1, frames, 1, len(weight)), reach, options)

    def depthwise(self, x: Wire, weight: np.ndarray, dilation: int, reach: tuple[float, float]) -> Wire:
        """Convolve each channel with `(channels, 1, 1, taps)` weights of its own."""
        taps = weight[:, 0, 0, :].T[None, :, None, :]
        stored = self._weights(taps, Quantization(_nonzero(np.abs(taps).max(axis=(0, 1, 2)) / 127.0), 0, 3))
        options = schema.DepthwiseConv2DOptionsT(
            padding=_VALID,
            strideW=1,
            strideH=1,
            depthMultiplier=1,
            dilationWFactor=1,
            dilationHFactor=dilation,
            fusedActivationFunction=_LINEAR,
        )
        frames = x.shape[1] - (taps.shape[1] - 1) * dilation
        shape = (1, frames, 1, x.shape[3])
        return self._weighted("DEPTHWISE_CONV_2D", x, stored, np.zeros(x.shape[3]), shape, reach, options)

    def fully_connected(self, x: Wire, weight: np.ndarray, bias: np.ndarray, reach: tuple[float, float]) -> Wire:
        """Multiply with `(out, in)` weights, which here have one scale together."""
        stored = self._weights(weight, Quantization(_nonzero(np.abs(weight).max(keepdims=True)[0] / 127.0), 0, 0))
        options = schema.FullyConnectedOptionsT(fusedActivationFunction=_LINEAR)
        return self._weighted("FULLY_CONNECTED", x, stored, bias, (1, len(weight)), reach, options)

    def add(self, x: Wire, y: Wire, reach: tuple[float, float], activation: int) -> Wire:
        wire = self._wire(x.shape, _activation(*reach), "sum")
        options = schema.AddOptionsT(fusedActivationFunction=activation, potScaleInt16=True)
        self._operator("ADD", [x.index, y.index], [wire.index], options)
        return wire

    def probability(self, logit: Wire) -> None:
        """End with the sigmoid, as an unsigned byte."""
        scale = np.array([1.0 / 256.0])
        signed = self._wire(logit.shape, Quantization(scale, -128), "probability")
        self._operator("LOGISTIC", [logit.index], [signed.index], None)
        unsigned = self._wire(logit.shape, Quantization(scale, 0), "unsigned", _UINT8)
        self._operator("QUANTIZE", [signed.index], [unsigned.index], schema.QuantizeOptionsT())
        self.scoring.outputs = [unsigned.index]

    def file(self) -> bytes:
        model = schema.ModelT()
        model.version, model.description = 3, "wakeword"
        model.operatorCodes = []
        for name in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), _VERSIONS.get(name, 1)
            model.operatorCodes.append(code)
        model.subgraphs, model.buffers = [self.scoring, self.starting], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _weighted(
        self,
        name: str,
        x: Wire,
        weight: Wire,
        bias: np.ndarray,
        shape: tuple[int, ...],
        reach: tuple[float, float],
        options: Any,
    ) -> Wire:
        scale = x.quantization.scale * weight.quantization.scale
        added = self._constant(np.round(bias / scale).astype(np.int32), "bias", Quantization(scale))
        wire = self._wire(shape, _activation(*reach), name.lower())
        self._operator(name, [x.index, weight.index, added], [wire.index], options)
        return wire

    def _weights(self, values: np.ndarray, quantization: Quantization) -> Wire:
        shape = [1] * values.ndim
        shape[quantization.axis] = -1
        stored = np.clip(np.round(values / quantization.scale.reshape(shape)), -127, 127).astype(np.int8)
        return Wire(self._constant(stored, "weight", quantization), values.shape, quantization)

    def _wire(self, shape: Sequence[int], quantization: Quantization, name: str, kind: int = _INT8) -> Wire:
        return Wire(self._tensor(shape, kind, name, quantization, 0, self.scoring), tuple(shape), quantization)

    def _constant(
        self, values: np.ndarray, name: str, quantization: Quantization | None = None, subgraph: Any = None
    ) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), dtype=np.uint8)
        self.buffers.append(buffer)
        kind = {"int8": _INT8, "int32": _INT32}[values.dtype.name]
        place = len(self.buffers) - 1
        return self._tensor(values.shape, kind, name, quantization, place, subgraph or self.scoring)

    def _variable(self, subgraph: Any) -> int:
        index = self._tensor((), _RESOURCE, "variable", None, 0, subgraph)
        options = schema.VarHandleOptionsT(container="", sharedName=f"heard_{self.variables}")
        self._operator("VAR_HANDLE", [], [index], options, subgraph)
        return index

    def _tensor(
        self,
        shape: Sequence[int],
        kind: int,
        name: str,
        quantization: Quantization | None,
        buffer: int,
        subgraph: Any,
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer, tensor.hasRank = list(shape), kind, buffer, True
        tensor.name = f"{name}_{len(subgraph.tensors)}"
        if quantization is not None:
            stored = schema.QuantizationParametersT()
            stored.scale = [float(scale) for scale in quantization.scale]
            stored.zeroPoint = [quantization.zero_point] * len(quantization.scale)
            stored.quantizedDimension = quantization.axis
            tensor.quantization = stored
        subgraph.tensors.append(tensor)
        return len(subgraph.tensors) - 1

    def _operator(self, name: str, inputs: list[int], outputs: list[int], options: Any, subgraph: Any = None) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(name, len(self.codes))
        operator.inputs, operator.outputs = inputs, outputs
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            operator.builtinOptions = options
        (subgraph or self.scoring).operators.append(operator)


def _nonzero(scales: np.ndarray) -> np.ndarray:
    """Return the scales, 1 where a channel's weights are all 0."""
    return np.where(scales > 0, scales, 1.0)
