"""A Piper voice of a few kilobytes, whose sound is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

LETTERS = "_^$ .,!?'abdefhijklmnoprstuvwzæðŋɐɑɒɔəɚɛɜɡɪɹʃʊʌʒˈˌːθ"
HERTZ = 150.0, 200.0, 250.0  # speakers 0, 1, 2
PER_SYMBOL = 700


def voice(folder: Path, name: str = "tiny", speakers: int = 3, noise: str = "RandomNormalLike", **settings: Any) -> str:
    """Write a voice with Piper's inputs: a tone as long as the text, its pitch the speaker's, with noise on it."""
    floats = {"per_symbol": PER_SYMBOL, "zero": 0.0, "one": 1.0, "loud": 0.6, "faint": 0.02}
    integers = {"second": [1], "first": [0], "shape": [1, 1, 1, -1], "scalar": []}
    constants = [helper.make_tensor(key, TensorProto.FLOAT, [], [value]) for key, value in floats.items()]
    for key, value in integers.items():
        constants.append(helper.make_tensor(key, TensorProto.INT64, [len(value)], value))
    steps = [2 * np.pi * hertz / 22_050 for hertz in HERTZ]
    constants.append(helper.make_tensor("steps", TensorProto.FLOAT, [len(steps)], steps))
    node = helper.make_node
    nodes = [
        node("Shape", ["input"], ["size"]),
        node("Gather", ["size", "second"], ["symbols"]),
        node("Cast", ["symbols"], ["symbols_f"], to=TensorProto.FLOAT),
        node("Gather", ["scales", "second"], ["length"]),
        node("Gather", ["scales", "first"], ["roughness"]),
        node("Mul", ["symbols_f", "per_symbol"], ["usual"]),
        node("Mul", ["usual", "length"], ["wanted"]),
        node("Reshape", ["wanted", "scalar"], ["end"]),
        node("Range", ["zero", "end", "one"], ["at"]),
        node("Gather", ["steps", "sid" if speakers > 1 else "first"], ["step"]),
        node("Mul", ["at", "step"], ["phase"]),
        node("Sin", ["phase"], ["pure"]),
        node("Mul", ["pure", "loud"], ["tone"]),
        node(noise, ["tone"], ["random"], **({"dtype": 1} if noise == "RandomNormalLike" else {})),
        node("Mul", ["random", "roughness"], ["rough"]),
        node("Mul", ["rough", "faint"], ["fainter"]),
        node("Add", ["tone", "fainter"], ["sum"]),
        node("Reshape", ["sum", "shape"], ["output"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "symbols"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])
    graph = helper.make_graph(nodes, "voice", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / f"{name}.onnx")
    known = {
        "audio": {"sample_rate": 22_050},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "espeak",
        "phoneme_id_map": {letter: [number] for number, letter in enumerate(LETTERS)},
        "num_symbols": len(LETTERS),
        "num_speakers": speakers,
        "speaker_id_map": {},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
    }
    (folder / f"{name}.onnx.json").write_text(json.dumps(known | settings))
    return f"{name}.onnx"
