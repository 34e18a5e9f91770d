"""Audio in, scores out: runs an exported file on a stream, chunk by chunk."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from wakeword.detection.policy import Policy

FORMAT = "1"
_BLOCK_S = 1.0  # most audio in one call of the network, so that memory stays flat
_PORTS = (["audio", "state"], ["scores", "next_state"])


@dataclass(frozen=True)
class ModelInfo:
    """What an exported file says of itself.

    Attributes:
        phrases: the wake phrase of each score column.
        language: ISO 639 code of the phrases.
        sample_rate: in Hz.
        hop_samples: samples for each score.
        frame_shift_ms: the same in milliseconds.
        receptive_field_ms: how much audio decides one score.
        policies: for each phrase, how its scores become detections; empty in a file made before that was chosen.
        figures: what was measured of this model.
        fingerprints: of the data and the parameters that it comes from.
        licence: of the model and of what it was trained on.
    """

    phrases: tuple[str, ...]
    language: str
    sample_rate: int
    hop_samples: int
    frame_shift_ms: float
    receptive_field_ms: float
    policies: Mapping[str, Policy]
    figures: Mapping[str, Any]
    fingerprints: Mapping[str, Any]
    licence: str


class Scorer:
    """Scores one stream. Use one instance for each stream; `fresh` makes more of them from one loaded model.

    A stream begins as if silence had preceded it. Whatever the samples hold, NaN and infinities included, the
    state stays finite and the scores that follow are good again once the receptive field has passed.

    Args:
        model: path of an exported file, or its content.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no ONNX file, or not one of ours; the message says what is missing.
    """

    def __init__(self, model: str | os.PathLike[str] | bytes) -> None:
        name, content = ("the model", model) if isinstance(model, bytes) else (str(model), _read(Path(model)))
        self._session = _load(name, content)
        self.info = _read_info(name, self._session)
        states = self._session.get_inputs()[1].shape[1]
        hops = math.ceil(self.info.receptive_field_ms / self.info.frame_shift_ms)
        silence = np.zeros((1, hops * self.info.hop_samples), dtype=np.float32)
        self._start = self._session.run(
            ["next_state"], {"audio": silence, "state": np.zeros((1, states), dtype=np.float32)}
        )[0]
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._state = self._start
        self._rest = np.zeros(0, dtype=np.float32)

    def fresh(self) -> "Scorer":
        """Return a scorer for another stream that shares the loaded model with this one."""
        other = object.__new__(Scorer)
        other._session, other.info, other._start = self._session, self.info, self._start
        other.reset()
        return other

    def score(self, pcm: np.ndarray) -> np.ndarray:
        """Score the next samples.

        Args:
            pcm: `(samples,)` for any number of samples, int16, or float with full scale at 1 (what lies beyond is
                clipped). Samples that do not fill a hop wait for the next call.

        Returns:
            Probabilities `(frames, phrases)` float32, one row for each `hop_samples`.

        Raises:
            TypeError: the samples are neither int16 nor float.
            ValueError: they are not one-dimensional.
        """
        pcm = _checked(pcm)
        hop = self.info.hop_samples
        block = max(int(_BLOCK_S * self.info.sample_rate) // hop * hop, hop)
        scored = [np.zeros((0, len(self.info.phrases)), dtype=np.float32)]
        for first in range(0, len(pcm), block):
            samples = np.concatenate([self._rest, _normalized(pcm[first : first + block])])
            whole = len(samples) - len(samples) % hop
            if whole:
                feeds = {"audio": samples[None, :whole], "state": self._state}
                scores, self._state = self._session.run(["scores", "next_state"], feeds)
                scored.append(scores[0])
            self._rest = samples[whole:]
        return np.concatenate(scored) if len(scored) != 2 else scored[1]


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the exported .onnx file in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist; export a model first, or name another file") from None
    if not content:
        raise ValueError(f"{path} is no model but an empty file: this one was not exported")
    return content


def _load(name: str, content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as failure:  # onnxruntime's own errors share no other base
        reason = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
        raise ValueError(f"{name} is no ONNX file that can be loaded ({reason}); export it again") from failure


def _read_info(name: str, session: onnxruntime.InferenceSession) -> ModelInfo:
    stored = session.get_modelmeta().custom_metadata_map
    if "wakeword_format" not in stored:
        raise ValueError(f"{name} is not one of our models: its metadata lacks 'wakeword_format'")
    if stored["wakeword_format"] != FORMAT:
        raise ValueError(f"{name} has format {stored['wakeword_format']}, this version reads {FORMAT}; export it again")
    ports = ([port.name for port in session.get_inputs()], [port.name for port in session.get_outputs()])
    if ports != _PORTS:
        raise ValueError(f"{name} is not one of our models: it takes {ports[0]} and gives {ports[1]}")
    try:
        info = ModelInfo(
            phrases=tuple(json.loads(stored["phrases"])),
            language=stored["language"],
            sample_rate=int(stored["sample_rate"]),
            hop_samples=int(stored["hop_samples"]),
            frame_shift_ms=float(stored["frame_shift_ms"]),
            receptive_field_ms=float(stored["receptive_field_ms"]),
            policies=_policies(json.loads(stored.get("policy", "{}"))),
            figures=json.loads(stored.get("figures", "{}")),
            fingerprints=json.loads(stored["fingerprints"]),
            licence=stored.get("licence", "unknown"),
        )
    except KeyError as missing:
        raise ValueError(f"{name} is not one of our models: its metadata lacks {missing}") from None
    except (ValueError, TypeError, AttributeError) as failure:
        raise ValueError(f"{name} has broken metadata ({failure}); export it again") from failure
    for key in ("sample_rate", "hop_samples", "frame_shift_ms", "receptive_field_ms"):
        if not 0 < (value := getattr(info, key)) < math.inf:
            raise ValueError(f"{name} has broken metadata: {key} is {value}; export it again")
    if not isinstance(info.fingerprints, dict):
        raise ValueError(f"{name} has broken metadata: fingerprints is no JSON object; export it again")
    columns = session.get_outputs()[0].shape[2]
    if len(info.phrases) != columns:
        raise ValueError(
            f"{name} has broken metadata: {columns} scores for {len(info.phrases)} phrases; export it again"
        )
    return info


def _policies(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Policy]:
    return {phrase: Policy.from_dict(values) for phrase, values in stored.items()}


def _checked(pcm: np.ndarray) -> np.ndarray:
    if isinstance(pcm, bytes | bytearray | memoryview):
        raise TypeError("pcm is raw bytes; pass np.frombuffer(pcm, dtype=np.int16)")
    pcm = np.asarray(pcm)
    if pcm.ndim != 1:
        raise ValueError(f"pcm has the shape {pcm.shape}; pass one channel, (samples,)")
    if pcm.dtype.kind != "f" and pcm.dtype.newbyteorder("=") != np.int16:
        raise TypeError(f"pcm is {pcm.dtype}; pass int16, or float with full scale at 1")
    return pcm


def _normalized(pcm: np.ndarray) -> np.ndarray:
    """Return finite float32 samples in -1..1."""
    if pcm.dtype.kind == "i":
        scaled: np.ndarray = np.multiply(pcm, np.float32(1 / 32768), dtype=np.float32)
        return scaled
    samples: np.ndarray = np.clip(pcm, -1.0, 1.0).astype(np.float32)
    samples[np.isnan(samples)] = 0.0
    return samples
