"""The shipped network as an ONNX graph: PCM and a state in, scores and the next state out.

The graph is written node by node, because that is where its speed comes from: with 80 ms chunks it is the number of
nodes that costs, not the arithmetic. So each block is one `Gemm` over the gathered taps, of the product of its
depthwise and pointwise weights (plus the identity, for the residual), which the runtime multiplies out once as it
loads the file; the file holds the factors. Measured on one x86 core, the network takes 0.14 ms for a chunk of 80 ms
this way, and 0.45 ms with two `Conv` a block. `build(separable=True)` writes the same function with convolutions,
for quantization, where the product would be too large.

That is done for `ds_tcn`, the default. Every other architecture's network is traced by the exporter of PyTorch and
grafted onto the same front-end (see `_traced`).

The power spectrum is exact, by matrix products. A frame is folded about its centre first: the window is symmetric, so
sums and differences of mirrored samples give the real and the imaginary part with half the arithmetic; the phase that
this drops is not part of a power. The Fourier kernels would be 400 kB: the graph computes them from integers, in
double precision, and the runtime folds them into constants as it loads.
"""

import hashlib
import io
import json
import math
import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from wakeword.features.frontend import FFT_SIZE, HOP, SAMPLE_RATE, WINDOW, FrontendConfig, hann_window, mel_matrix
from wakeword.models.checkpoint import TrainedModel
from wakeword.models.ds_tcn import DsTcn
from wakeword.models.streaming import Streaming

OPSET = 13  # the lowest that can express quantization per channel
IR_VERSION = 7  # goes with that opset
FORMAT = "1"
LEAD = WINDOW - HOP
_CONV_DEFAULTS = {
    "dilations": ([1, 1],),
    "group": (1,),
    "kernel_shape": (),
    "pads": ([0] * 4,),
    "strides": ([1, 1],),
}
_LAST = np.iinfo(np.int64).max


def build(model: TrainedModel, separable: bool = False) -> bytes:
    """Write the graph; the bytes are the same every time.

    Inputs `audio`, float32 `[1, samples]` (a multiple of one score's hop; full scale is 1), and `state`, float32
    `[1, S]`: what the last call returned; it starts as zeros that as much silence as the receptive field has passed
    through. Outputs `scores`, float32 `[1, frames, phrases]`, and `next_state`.

    Args:
        model: a trained network.
        separable: write depthwise-separable convolutions instead of their product.

    Raises:
        TypeError: the network is none that streams, or can't be expressed in ONNX.
    """
    body = model.network.body
    if not isinstance(body, Streaming):
        raise TypeError(f"there is no exported graph for {type(body).__name__}; derive it from Streaming")
    graph = _Graph()
    hop = body.stride * HOP
    size = LEAD + body.state_size
    held, kept = graph.split("state", [LEAD, size - LEAD], axis=1)
    steps = _steps(graph, hop)
    features, next_held = _front_end(graph, held, steps, model.frontend, _array(model.network.mean), body.stride)
    std = _array(model.network.std)
    if isinstance(body, DsTcn):
        network = _convolutions if separable else _products
        probabilities, next_kept = network(graph, body, features, kept, steps, std)
    else:
        probabilities, next_kept = _traced(graph, body, features, kept, std)
    graph.add("Unsqueeze", probabilities, graph.ints([0]), out="scores")
    graph.add("Concat", next_held, next_kept, axis=1, out="next_state")
    content = graph.serialize(
        inputs={"audio": [1, "samples"], "state": [1, size]},
        outputs={"scores": [1, "frames", len(model.phrases)], "next_state": [1, size]},
    )
    return with_metadata(content, _description(model))


def with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return the ONNX file with more entries in its metadata."""
    model = onnx.load_from_string(content)
    merged = {entry.key: entry.value for entry in model.metadata_props} | dict(metadata)
    del model.metadata_props[:]
    for key in sorted(merged):
        model.metadata_props.add(key=key, value=merged[key])
    return bytes(model.SerializeToString(deterministic=True))


def _description(model: TrainedModel) -> dict[str, str]:
    """Return what a runtime must know to score audio; a detector needs a policy besides."""
    hop = model.network.stride * HOP
    receptive_field = model.network.receptive_field * HOP + LEAD
    return {
        "wakeword_format": FORMAT,
        "phrases": json.dumps(model.phrases, ensure_ascii=False),
        "language": model.language,
        "sample_rate": str(SAMPLE_RATE),
        "hop_samples": str(hop),
        "frame_shift_ms": f"{1000 * hop / SAMPLE_RATE:g}",
        "receptive_field_ms": f"{1000 * receptive_field / SAMPLE_RATE:g}",
        "fingerprints": json.dumps(model.fingerprints, sort_keys=True),
    }


class _Graph:
    """Collects nodes and constants; every method returns the name of what it made."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def ints(self, values: int | list[int] | list[list[int]]) -> str:
        """Return a small int64 constant; equal ones are stored once."""
        return self.constant("ints_" + str(values).replace(" ", ""), np.array(values, dtype=np.int64))

    def shared(self, value: np.ndarray) -> str:
        """Return a constant that is stored once however often it is asked for."""
        shape = "x".join(map(str, value.shape))
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:8]
        return self.constant(f"{value.dtype}_{shape}_{digest}", value)

    def unused(self, name: str) -> str:
        """Return a name for a node; with a number, where it is taken."""
        taken = {node.name for node in self._nodes}
        return name if name and name not in taken else f"{name}_{len(self._nodes)}"

    def node(self, op: str, *inputs: str, outputs: list[str], name: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op, list(inputs), outputs, name=name, **attributes))

    def add(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Append a node of one output, called `out` where that matters."""
        name = out or f"{op}_{len(self._nodes)}"
        self.node(op, *inputs, outputs=[name], name=name, **attributes)
        return name

    def split(self, values: str, sizes: list[int], axis: int) -> list[str]:
        name = f"Split_{len(self._nodes)}"
        names = [f"{name}_{index}" for index in range(len(sizes))]
        self.node("Split", values, self.ints(sizes), outputs=names, name=name, axis=axis)
        return names

    def slice(self, values: str, start: int, stop: int, axis: int, step: int = 1) -> str:
        bounds = [self.ints([bound]) for bound in (start, stop, axis, step)]
        return self.add("Slice", values, *bounds)

    def reshape(self, values: str, shape: list[int]) -> str:
        return self.add("Reshape", values, self.ints(shape))

    def serialize(self, inputs: dict[str, list[int | str]], outputs: dict[str, list[int | str]]) -> bytes:
        def described(ports: dict[str, list[int | str]]) -> list[onnx.ValueInfoProto]:
            return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ports.items()]

        graph = helper.make_graph(
            self._nodes, "wakeword", described(inputs), described(outputs), list(self._constants.values())
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="wakeword")
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def _steps(graph: _Graph, hop: int) -> str:
    """Return `[[0], [1], ...]`, one row for each score of this call."""
    samples = graph.add("Gather", graph.add("Shape", "audio"), graph.ints(1), axis=0)
    count = graph.add("Div", samples, graph.ints(hop))
    steps = graph.add("Range", graph.ints(0), count, graph.ints(1))
    return graph.add("Unsqueeze", steps, graph.ints([1]))


def _front_end(
    graph: _Graph, held: str, steps: str, config: FrontendConfig, mean: np.ndarray, stride: int
) -> tuple[str, str]:
    """Return log-mel features less their mean, `(frames, mels)`, and the samples to hold for the next call."""
    joined = graph.add("Concat", held, "audio", axis=1)
    next_held = graph.slice(joined, -LEAD, _LAST, axis=1)
    row = math.gcd(WINDOW, HOP)
    rows = graph.reshape(joined, [-1, row])
    taken = [frame * HOP // row + part for frame in range(stride) for part in range(WINDOW // row)]
    first_row = graph.add("Mul", steps, graph.ints(stride * HOP // row))
    gathered = graph.add("Gather", rows, graph.add("Add", first_row, graph.ints([taken])), axis=0)
    frames = graph.reshape(gathered, [-1, WINDOW])

    centre = WINDOW // 2
    right = graph.slice(frames, centre, WINDOW, axis=1)
    left = graph.slice(frames, centre, 0, axis=1, step=-1)
    filters = mel_matrix(config)
    used = np.flatnonzero(filters.sum(axis=1))
    first, last = int(used[0]), int(used[-1]) + 1
    even, odd = _fourier_kernels(graph, first, last)
    real = graph.add("MatMul", graph.add("Add", right, left), even)
    imaginary = graph.add("MatMul", graph.add("Sub", right, left), odd)
    power = graph.add("Add", graph.add("Mul", real, real), graph.add("Mul", imaginary, imaginary))
    mel = graph.add("MatMul", power, _mel_filters(graph, filters[first:last]))
    floored = graph.add("Add", mel, graph.constant("floor", np.array(config.floor, dtype=np.float32)))
    logarithm = graph.add("Log", floored)
    return graph.add("Sub", logarithm, graph.constant("mean", mean.astype(np.float32))), next_held


def _fourier_kernels(graph: _Graph, first: int, last: int) -> tuple[str, str]:
    """Return windowed cosines and sines of the bins `first` to `last`, each `(WINDOW / 2, bins)`.

    Row m stands for the samples m after and m before the centre. Phases are whole multiples of 1 / FFT_SIZE of a turn.
    """
    offsets = graph.add("Range", graph.ints(0), graph.ints(WINDOW // 2), graph.ints(1))
    bins = graph.add("Range", graph.ints(first), graph.ints(last), graph.ints(1))
    phases = graph.add("Mul", graph.add("Unsqueeze", offsets, graph.ints([1])), bins)
    half_window = hann_window()[WINDOW // 2 :, None].copy()
    half_window[0] *= 0.5  # the centre is its own mirror image, so the sum counts it twice
    window = graph.add("Cast", graph.constant("half_window", half_window), to=TensorProto.DOUBLE)
    turn = graph.constant("radians", np.array(2 * np.pi / FFT_SIZE))

    def sines(phase: str) -> str:
        reduced = graph.add("Cast", graph.add("Mod", phase, graph.ints(FFT_SIZE)), to=TensorProto.DOUBLE)
        wave = graph.add("Mul", graph.add("Sin", graph.add("Mul", reduced, turn)), window)
        return graph.add("Cast", wave, to=TensorProto.FLOAT)

    return sines(graph.add("Add", phases, graph.ints(FFT_SIZE // 4))), sines(phases)


def _mel_filters(graph: _Graph, filters: np.ndarray) -> str:
    """Return the `(bins, mels)` matrix, stored as its few values that are not zero, in the half precision they have."""
    flat = filters.ravel()
    places = np.flatnonzero(flat)
    zeros = graph.add("ConstantOfShape", graph.ints([flat.size]))
    where = graph.add("Cast", graph.constant("mel_places", places.astype(np.uint16)), to=TensorProto.INT64)
    values = graph.add("Cast", graph.constant("mel_values", flat[places].astype(np.float16)), to=TensorProto.FLOAT)
    return graph.reshape(graph.add("ScatterElements", zeros, where, values, axis=0), list(filters.shape))


def _products(graph: _Graph, body: DsTcn, features: str, kept: str, steps: str, std: np.ndarray) -> tuple[str, str]:
    """The network on `(time, channels)` matrices. Its state holds each layer's last frames, frame after frame."""
    blocks, mels = _blocks(body), len(std)
    channels, kernel = blocks[0].channels_in, blocks[0].depthwise.kernel_size[1]
    stem_frames, contexts = body.stem.context, [block.context for block in blocks]
    sizes = [stem_frames * mels, channels * sum(contexts)]
    stem_kept, blocks_kept = graph.split(kept, sizes, axis=1)
    caches = graph.split(graph.reshape(blocks_kept, [-1, channels]), contexts, axis=0)

    # A row holds the frames of one score; the stem sees some whole rows.
    width = body.stride * mels
    earlier = stem_frames // body.stride
    rows = graph.add("Concat", graph.reshape(stem_kept, [-1, width]), graph.reshape(features, [-1, width]), axis=0)
    next_stem = graph.reshape(graph.slice(rows, -earlier, _LAST, axis=0), [1, -1])
    taps = [graph.slice(rows, back, back - earlier or _LAST, axis=0) for back in range(earlier + 1)]
    weight, bias = _fold(body.stem[0], body.stem[1])
    weight = (weight[:, :, 0, :] / std[:, None]).transpose(2, 1, 0).reshape(-1, channels)
    x = _gemm(graph, graph.add("Concat", *taps, axis=1), "stem", _stored(graph, "stem", weight), bias)
    x = graph.add("Relu", x)

    dilations = sorted({block.depthwise.dilation[1] for block in blocks})
    places = {
        dilation: graph.add("Add", steps, graph.ints([[dilation * tap for tap in range(kernel)]]))
        for dilation in dilations
    }
    shape = graph.add("ConstantOfShape", graph.ints([kernel * channels, channels]))
    identity = graph.add("EyeLike", shape, k=-(kernel - 1) * channels)
    scales, next_caches = [], []
    for index, (block, cache) in enumerate(zip(blocks, caches, strict=True)):
        name = f"blocks.{index}"
        y = graph.add("Concat", cache, x, axis=0)
        next_caches.append(graph.slice(y, -block.context, _LAST, axis=0))
        gathered = graph.add("Gather", y, places[block.depthwise.dilation[1]], axis=0)
        taken = graph.reshape(gathered, [-1, kernel * channels])
        pointwise, bias = _fold(block.pointwise, block.norm)
        mixing = pointwise[:, :, 0, 0].T
        depth = _stored(graph, f"{name}.depthwise", _array(block.depthwise.weight)[:, 0, 0, :].T[:, :, None])
        product = graph.add("Mul", depth, _stored(graph, f"{name}.pointwise", mixing))
        weight_name = graph.add("Add", graph.reshape(product, [-1, channels]), identity)
        x = graph.add("Relu", _gemm(graph, taken, name, weight_name, bias))
        if (index + 1) % body.per_stack == 0:
            scales.append(x)
    head = _array(body.head.weight)[:, :, 0, 0].T
    bias = _array(cast(Tensor, body.head.bias))
    logits = _gemm(graph, graph.add("Sum", *scales), "head", _stored(graph, "head", head), bias)
    next_blocks = graph.reshape(graph.add("Concat", *next_caches, axis=0), [1, -1])
    return graph.add("Sigmoid", logits), graph.add("Concat", next_stem, next_blocks, axis=1)


def _convolutions(graph: _Graph, body: DsTcn, features: str, kept: str, steps: str, std: np.ndarray) -> tuple[str, str]:
    """The network on `(1, channels, time)` with a `Conv` a layer. Its state holds each channel's last values."""
    blocks, mels = _blocks(body), len(std)
    channels, contexts = blocks[0].channels_in, [block.context for block in blocks]
    sizes = [body.stem.context * mels, channels * sum(contexts)]
    stem_kept, blocks_kept = graph.split(kept, sizes, axis=1)
    caches = graph.split(graph.reshape(blocks_kept, [1, channels, -1]), contexts, axis=2)

    x = graph.reshape(graph.add("Transpose", features, perm=[1, 0]), [1, mels, -1])
    x = graph.add("Concat", graph.reshape(stem_kept, [1, mels, -1]), x, axis=2)
    next_stem = graph.reshape(graph.slice(x, -body.stem.context, _LAST, axis=2), [1, -1])
    weight, bias = _fold(body.stem[0], body.stem[1])
    x = graph.add("Relu", _conv(graph, x, "stem", weight / std[:, None, None], bias, strides=[body.stride]))
    scales, next_caches = [], []
    for index, (block, cache) in enumerate(zip(blocks, caches, strict=True)):
        name = f"blocks.{index}"
        y = graph.add("Concat", cache, x, axis=2)
        next_caches.append(graph.slice(y, -block.context, _LAST, axis=2))
        weight, none = _array(block.depthwise.weight), np.zeros(channels)
        dilations = [block.depthwise.dilation[1]]
        y = _conv(graph, y, f"{name}.depthwise", weight, none, group=channels, dilations=dilations)
        y = _conv(graph, y, f"{name}.pointwise", *_fold(block.pointwise, block.norm))
        x = graph.add("Relu", graph.add("Add", y, x))
        if (index + 1) % body.per_stack == 0:
            scales.append(x)
    bias = _array(cast(Tensor, body.head.bias))
    logits = _conv(graph, graph.add("Sum", *scales), "head", _array(body.head.weight), bias)
    rows = graph.add("Transpose", graph.reshape(logits, [len(body.head.weight), -1]), perm=[1, 0])
    next_blocks = graph.reshape(graph.add("Concat", *next_caches, axis=2), [1, -1])
    return graph.add("Sigmoid", rows), graph.add("Concat", next_stem, next_blocks, axis=1)


def _traced(graph: _Graph, body: Streaming, features: str, kept: str, std: np.ndarray) -> tuple[str, str]:
    """The network as PyTorch traces it, on one stream."""
    scaled = graph.add("Div", features, graph.constant("std", std.astype(np.float32)))
    traced = _trace(body, len(std))
    names = {"": "", "features": graph.add("Unsqueeze", scaled, graph.ints([0])), "state": kept}
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in traced.graph.initializer}
    for node in traced.graph.node:
        if node.op_type == "Constant":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            continue
        if node.op_type in ("If", "Loop", "Scan"):
            raise TypeError(
                f"{type(body).__name__} does not do the same whatever it hears: its graph holds {node.name}"
            )
        _graft(graph, node, names, values)
    phrases = traced.graph.output[0].type.tensor_type.shape.dim[2].dim_value
    return graph.add("Sigmoid", graph.reshape(names["logits"], [-1, phrases])), names["next_state"]


def _trace(body: Streaming, mels: int) -> onnx.ModelProto:
    """Return `body.stream` as a model of its own, with batch normalization folded into convolutions.

    By the exporter that PyTorch calls legacy. The newer one takes 12 s for a tiny network instead of 0.6 s and writes
    no opset below 18, which old runtimes do not load; PyTorch is pinned, so what is deprecated is still there.

    Raises:
        TypeError: an operation can't be expressed.
    """
    buffer = io.BytesIO()
    examples = torch.zeros(1, 4 * body.stride, mels), torch.zeros(1, body.state_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                _Stream(body).eval(),
                examples,
                buffer,  # type: ignore[arg-type]
                dynamo=False,
                opset_version=OPSET,
                input_names=["features", "state"],
                output_names=["logits", "next_state"],
                dynamic_axes={"features": {1: "frames"}, "logits": {1: "scores"}},
            )
        except torch.onnx.errors.OnnxExporterError as failure:
            raise TypeError(f"{type(body).__name__} can't be written as ONNX: {failure}") from failure
    return onnx.load_from_string(buffer.getvalue())


class _Stream(nn.Module):
    """Gives the exporter, which traces `forward`, a network's streaming pass."""

    def __init__(self, body: Streaming) -> None:
        super().__init__()
        self.body = body

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.body.stream(features, state)


def _graft(graph: _Graph, node: onnx.NodeProto, names: dict[str, str], values: dict[str, np.ndarray]) -> None:
    """Append a traced node; layers are called as in the network, equal constants are stored once.

    Args:
        names: of the values made so far, by what the trace calls them; the node's outputs are added.
        values: of the constants, by the same.
    """
    layer = node.op_type in ("Conv", "GRU")
    name = graph.unused(_layer_name(node.name) if layer else node.op_type)
    inputs = []
    for place, old in enumerate(node.input):
        if old in names:
            inputs.append(names[old])
        elif layer:
            inputs.append(
                graph.constant(f"{name}.{('x', 'weight', 'bias')[place] if place < 3 else place}", values[old])
            )
        else:
            inputs.append(graph.shared(values[old]))
    outputs = [name if len(node.output) == 1 else f"{name}_{index}" for index in range(len(node.output))]
    names |= dict(zip(node.output, outputs, strict=True))
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Conv":
        attributes = {key: value for key, value in attributes.items() if value not in _CONV_DEFAULTS[key]}
    graph.node(node.op_type, *inputs, outputs=outputs, name=name, **attributes)


def _layer_name(scope: str) -> str:
    """Return the name of a layer: `/blocks.0/first/first.1/Conv`, as a trace has it, is `blocks.0.first.1`."""
    parts = scope.split("/")[1:-1]
    kept = [part for part, inner in pairwise([*parts, ""]) if not inner.startswith(f"{part}.")]
    return ".".join(kept)


def _blocks(body: DsTcn) -> list[Any]:
    """Return the blocks as what they are; a `ModuleList` hides the type of its modules."""
    return list(body.blocks)


def _stored(graph: _Graph, name: str, weight: np.ndarray) -> str:
    return graph.constant(f"{name}.weight", weight.astype(np.float32))


def _gemm(graph: _Graph, x: str, name: str, weight: str, bias: np.ndarray) -> str:
    graph.node("Gemm", x, weight, graph.constant(f"{name}.bias", bias.astype(np.float32)), outputs=[name], name=name)
    return name


def _conv(graph: _Graph, x: str, name: str, weight: np.ndarray, bias: np.ndarray, **attributes: Any) -> str:
    """Append a convolution over time; `weight` is that of the network's two-dimensional layer, one row high."""
    stored = _stored(graph, name, weight[:, :, 0, :])
    offset = graph.constant(f"{name}.bias", bias.astype(np.float32))
    graph.node("Conv", x, stored, offset, outputs=[name], name=name, **attributes)
    return name


def _fold(layer: nn.Module, norm: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and bias, float64, of a convolution that does what `layer` and then `norm` do."""
    names = ("weight", "bias", "running_mean", "running_var")
    scale, shift, mean, variance = (_array(getattr(norm, name)) for name in names)
    gain = scale / np.sqrt(variance + cast(float, norm.eps))
    return _array(cast(Tensor, layer.weight)) * gain[:, None, None, None], shift - mean * gain
