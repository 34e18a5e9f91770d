"""Piper as an engine: neural voices, many of them with hundreds of speakers, from files that a person provides.

A voice draws its noise inside its graph, from a generator that goes on from one utterance to the next. To give the same
samples whatever was said before, the graph is changed on loading: noise becomes an input, drawn from a seed of the
utterance's own.
"""

import importlib.util
import json
import re
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pydantic import Field

from wakeword.base.errors import UserError
from wakeword.base.params import Text
from wakeword.engines.speaker import (
    KEY,
    Amounts,
    CannotSay,
    Cast,
    EngineConfig,
    Factors,
    Parameter,
    Said,
    VoiceFile,
    arctic_group,
    drawn,
    drawn_evenly,
    phoneme_count,
)

ENGINE = "piper"

# Half a minute at the usual 192 channels and 86 frames a second.
_NOISE_VALUES = 2**19
# Voices reach full scale, some beyond.
_VOLUME = 0.5
# How large a voice is; the person is the same.
_QUALITY = re.compile(r"-(x_low|low|medium|high)$")


class PiperConfig(EngineConfig):
    """How Piper speaks.

    Attributes:
        share, running_share: see `EngineConfig`.
        models: voices, as files below `data/voices` such as "en_US-libritts-high.onnx"; the file of the same
            name and ".json" lies beside each.
        speakers: numbers of the speakers that each model with several lends; null for all.
        length_scale: lowest and highest duration, as a factor of the voice's own.
        noise_scale: lowest and highest variation of the voice.
        noise_w: lowest and highest variation of the rhythm.
        licence: of the voices; it goes into the manifest.
    """

    models: list[VoiceFile] = Field(min_length=1)
    speakers: list[int] | None = Field(None, min_length=1)
    length_scale: Factors = [1.0, 1.6]
    noise_scale: Amounts = [0.5, 0.9]
    noise_w: Amounts = [0.5, 1.0]
    licence: Text = "unknown"


@dataclass(frozen=True, slots=True)
class Piper:
    """A speaker of a model, `speaker` being None where it has one only; `root` is what the model lies below."""

    model: str
    speaker: int | None
    length_scale: float
    noise_scale: float
    noise_w: float
    root: str
    licence: str
    version: str
    group: str

    engine = ENGINE

    @property
    def name(self) -> str:
        return f"{ENGINE} {_voice(self.model, self.speaker)}"

    @property
    def description(self) -> str:
        return f"{self.name} length={self.length_scale:g} noise={self.noise_scale:g} noise_w={self.noise_w:g}"

    @property
    def pace(self) -> float:
        return self.length_scale

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "voice": _voice(self.model, self.speaker),
            "length_scale": self.length_scale,
            "noise_scale": self.noise_scale,
            "noise_w": self.noise_w,
            "volume": _VOLUME,
        }

    def say(self, text: str, language: str) -> Said:
        """See `Speaker.say`."""
        from piper import SynthesisConfig

        voice, noise = _load(Path(self.root) / self.model)
        noise.reseed(zlib.crc32(f"{self.description}: {text!r}".encode()))
        # Each sentence would be raised to full scale, silent ones too.
        how = SynthesisConfig(
            self.speaker, self.length_scale, self.noise_scale, self.noise_w, normalize_audio=False, volume=_VOLUME
        )
        try:
            chunks = [chunk.audio_int16_array for chunk in voice.synthesize(text, how)]
        except Exception as failure:  # whatever a stranger's graph does with a text
            raise CannotSay(f"the voice fails: {failure}") from None
        if not chunks:
            raise CannotSay("no sound came out")
        samples = np.concatenate(chunks)
        return Said(samples, voice.config.sample_rate, phoneme_count(text, language), f"{ENGINE} {self.version}")


def cast(config: PiperConfig, language: str, root: Path) -> Cast:
    """Return every speaker of every model, each of whom draws a pace and two amounts of noise for every utterance.

    Raises:
        UserError: piper-tts is not installed, or a model is missing, no voice, or one of another language.
    """
    if missing := [name for name in ("piper", "onnx") if not importlib.util.find_spec(name)]:
        raise UserError(
            f"params.yaml: '{KEY}.piper' is set, but the package {' and '.join(missing)} is missing; install it "
            "(`uv pip install piper-tts onnx`), or set the key to null"
        )
    from importlib.metadata import version

    voices: dict[str, tuple[str, int | None]] = {}
    if config.speakers and all(_count(root / model, language) == 1 for model in config.models):
        raise UserError(f"params.yaml: '{KEY}.piper.speakers' is set, but every model has one speaker only; remove it")
    for model in config.models:
        for number in _speakers(root / model, config.speakers, language):
            if voices.setdefault(_voice(model, number), (model, number)) != (model, number):
                twice = _voice(model, None)
                raise UserError(f"params.yaml: '{KEY}.piper.models' names two models '{twice}'; rename one")
    installed = version("piper-tts")

    def draw(voice: str, rng: np.random.Generator) -> Piper:
        return Piper(
            *voices[voice],
            length_scale=drawn(config.length_scale, rng),
            noise_scale=drawn_evenly(config.noise_scale, rng),
            noise_w=drawn_evenly(config.noise_w, rng),
            root=str(root),
            licence=config.licence,
            version=installed,
            group=_group(root / voices[voice][0], voices[voice][1]),
        )

    return Cast(list(voices), draw)


@cache
def _group(model: Path, speaker: int | None) -> str:
    """Return who speaks: the same person in a model's larger and smaller versions, and in other engines' voices."""
    names = json.loads(Path(f"{model}.json").read_text(encoding="utf-8")).get("speaker_id_map") or {}
    name = next((name for name, number in names.items() if number == speaker), None)
    stem = _QUALITY.sub("", model.stem)
    arctic = arctic_group(f"cmu_us_{name}") if "-arctic" in stem else None
    return arctic or f"{ENGINE}:{stem if speaker is None else f'{stem}#{speaker}'}"


def _voice(model: str, speaker: int | None) -> str:
    stem = PurePosixPath(model).stem
    return stem if speaker is None else f"{stem}#{speaker}"


def _speakers(model: Path, named: list[int] | None, language: str) -> list[int | None]:
    """Return the numbers of a model's speakers that are to be used; [None] where it has one only."""
    count = _count(model, language)
    if count == 1:
        return [None]
    for number in named or []:
        if not 0 <= number < count:
            raise UserError(f"params.yaml: '{KEY}.piper.speakers' names {number}; {model} has 0 to {count - 1}")
    return list(named or range(count))


def _count(model: Path, language: str) -> int:
    """Return how many speakers a model has.

    Raises:
        UserError: it is missing, no voice, or one of another language.
    """
    key = f"params.yaml: '{KEY}.piper.models' names {model}"
    beside = Path(f"{model}.json")
    for path, holding in ((model, "a Piper voice in ONNX"), (beside, "that voice's settings in JSON")):
        if not path.is_file():
            raise UserError(f"{key}, but {path} is missing; put {holding} there, or correct the key")
    try:
        settings = json.loads(beside.read_text(encoding="utf-8"))
        count, spoken = int(settings["num_speakers"]), str(settings["espeak"]["voice"])
    except (ValueError, KeyError, TypeError) as failure:
        raise UserError(f"{key}, but {beside} is no settings of a Piper voice ({failure!r}); get it again") from None
    if spoken.split("-")[0] != language.split("-")[0]:
        raise UserError(f"{key}, which speaks '{spoken}', not 'language: {language}'; remove it")
    return max(count, 1)


class _SessionWithNoise:
    """An onnxruntime session that feeds the noise inputs of a voice's changed graph."""

    def __init__(self, session: Any, inputs: list[str]) -> None:
        self.session, self.inputs = session, inputs
        self.reseed(0)

    def reseed(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def run(self, outputs: list[str] | None, inputs: dict[str, np.ndarray]) -> Any:
        noise = {name: self.rng.standard_normal(_NOISE_VALUES, dtype=np.float32) for name in self.inputs}
        return self.session.run(outputs, inputs | noise)


@lru_cache(maxsize=8)
def _load(model: Path) -> tuple[Any, _SessionWithNoise]:
    """Load a voice: `piper.PiperVoice`, and the session within it."""
    import onnx
    import onnxruntime
    from piper import PiperVoice
    from piper.config import PiperConfig as Settings

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # every core has a process of its own
    try:
        graph = onnx.load(model)
        names = with_noise_inputs(graph, model)
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except UserError:
        raise
    except Exception as failure:  # of protobuf, onnx or onnxruntime, which share no base
        raise UserError(f"{model} is no Piper voice in ONNX ({failure}); get it again") from None
    noise = _SessionWithNoise(session, names)
    settings = Settings.from_dict(json.loads(Path(f"{model}.json").read_text(encoding="utf-8")))
    return PiperVoice(config=settings, session=noise), noise


def with_noise_inputs(model: Any, path: Path) -> list[str]:
    """Make every random node of an ONNX model read its values from the beginning of an input of its own.

    Args:
        model: `onnx.ModelProto`; changed in place.
        path: its file, for messages.

    Returns:
        The names of the new inputs, each `(2**19,)` float32, to be filled from a normal distribution.

    Raises:
        UserError: a random node is of another kind than those of the voices that Piper trains.
    """
    from onnx import TensorProto, helper

    nodes: list[Any] = []
    names: list[str] = []
    for node in model.graph.node:
        if not _draws(node):
            nodes.append(node)
            continue
        if node.op_type != "RandomNormalLike" or {attribute.name for attribute in node.attribute} - {"dtype"}:
            raise UserError(f"{path}: its {node.op_type} draws noise that can't be made repeatable; use another voice")
        name = f"noise_{len(names)}"
        names.append(name)
        start, like, out = f"{name}_start", node.input[0], node.output[0]
        model.graph.initializer.append(helper.make_tensor(start, TensorProto.INT64, [1], [0]))
        model.graph.initializer.append(helper.make_tensor(f"{name}_flat", TensorProto.INT64, [1], [1]))
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [_NOISE_VALUES]))
        nodes += [
            helper.make_node("Shape", [like], [f"{name}_shape"]),
            helper.make_node("Size", [like], [f"{name}_size"]),
            helper.make_node("Reshape", [f"{name}_size", f"{name}_flat"], [f"{name}_end"]),
            helper.make_node("Slice", [name, start, f"{name}_end"], [f"{name}_values"]),
            helper.make_node("Reshape", [f"{name}_values", f"{name}_shape"], [out]),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return names


def _draws(node: Any) -> bool:
    """Say whether a node draws random numbers, itself or in a graph within it."""
    if "Random" in node.op_type or node.op_type in ("Bernoulli", "Multinomial"):
        return True
    return any(_draws(inner) for attribute in node.attribute for inner in attribute.g.node)
