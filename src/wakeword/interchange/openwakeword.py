"""A head for openWakeWord: from the last 16 of its speech embeddings to the probability of a phrase, as ONNX.

openWakeWord hears through two fixed networks that its package holds (up to release 0.5.1; later ones download them): a
mel spectrogram and Google's speech embedding, 96 numbers for each 80 ms. A wake word is what reads these.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from wakeword.base.errors import UserError

CHUNK, FRAMES, BANDS = 1280, 16, 96
_CONTEXT, _MELS, _PER_CHUNK, _WINDOW = 480, 32, 8, 76
_BATCH = 256
_NARROW, _HIDDEN = 32, 32
# Chunks until an embedding window holds nothing but the recording; before, their package fills it with ones and noise.
WARM_UP = -(-_WINDOW // _PER_CHUNK) + FRAMES


def embeddings(models: Path, pcm: np.ndarray) -> np.ndarray:
    """Compute what openWakeWord's streaming code computes, for a whole recording that silence precedes.

    Args:
        models: folder that holds `melspectrogram.onnx` and `embedding_model.onnx`.
        pcm: `(samples,)` int16 at 16 kHz.

    Returns:
        `(samples // CHUNK, BANDS)` float32. Row `i` sees samples up to `(i + 1) * CHUNK`, 775 ms of them.
    """
    spectrogram, embedding = _sessions(models)
    chunks = len(pcm) // CHUNK
    led = np.concatenate([np.zeros(_CONTEXT, dtype=np.int16), pcm[: chunks * CHUNK]]).astype(np.float32)
    mel = np.ones((_WINDOW - _PER_CHUNK + chunks * _PER_CHUNK, _MELS), dtype=np.float32)
    for chunk in range(chunks):
        # One chunk at a time: the spectrogram's floor depends on the loudest frame that it is given.
        heard = spectrogram.run(None, {"input": led[None, chunk * CHUNK : (chunk + 1) * CHUNK + _CONTEXT]})[0]
        first = _WINDOW - _PER_CHUNK + chunk * _PER_CHUNK
        mel[first : first + _PER_CHUNK] = heard.reshape(-1, _MELS) / 10 + 2
    windows = np.lib.stride_tricks.sliding_window_view(mel, _WINDOW, axis=0)[::_PER_CHUNK].transpose(0, 2, 1)
    rows = [np.zeros((0, BANDS), dtype=np.float32)]
    for first in range(0, chunks, _BATCH):
        batch = np.ascontiguousarray(windows[first : first + _BATCH])[..., None]
        rows.append(embedding.run(None, {"input_1": batch})[0].reshape(-1, BANDS))
    return np.concatenate(rows)


@lru_cache(maxsize=1)
def _sessions(models: Path) -> tuple[onnxruntime.InferenceSession, onnxruntime.InferenceSession]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    paths = [models / name for name in ("melspectrogram.onnx", "embedding_model.onnx")]
    if missing := [path for path in paths if not path.exists()]:
        raise UserError(f"{missing[0]} is missing; `make .cache/peers/installed` installs the package that holds it")
    first, second = (onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in paths)
    return first, second


class Head(nn.Module):
    """Narrows each embedding, then looks at all 16 at once: `(batch, FRAMES, BANDS)` to logits `(batch,)`.

    Args:
        mean, std: `(BANDS,)`, of the training embeddings.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("std", torch.from_numpy(std.astype(np.float32)))
        self.narrow = nn.Linear(BANDS, _NARROW)
        self.dropout = nn.Dropout(0.2)
        self.hidden = nn.Linear(FRAMES * _NARROW, _HIDDEN)
        self.score = nn.Linear(_HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        narrowed = torch.relu(self.narrow((x - self.mean) / self.std)).flatten(1)
        logits: Tensor = self.score(torch.relu(self.hidden(self.dropout(narrowed))))[:, 0]
        return logits


def head_file(head: Head) -> bytes:
    """Return the head as an ONNX file that openWakeWord loads: `(1, FRAMES, BANDS)` in, a probability `(1, 1)` out."""
    weight = head.narrow.weight.detach() / head.std
    bias = head.narrow.bias.detach() - weight @ head.mean
    constants = {
        "narrow_weight": weight.T,
        "narrow_bias": bias,
        "hidden_weight": head.hidden.weight.detach().T,
        "hidden_bias": head.hidden.bias.detach(),
        "score_weight": head.score.weight.detach().T,
        "score_bias": head.score.bias.detach(),
    }
    nodes = [
        helper.make_node("MatMul", ["embeddings", "narrow_weight"], ["product"]),
        helper.make_node("Add", ["product", "narrow_bias"], ["narrowed"]),
        helper.make_node("Relu", ["narrowed"], ["positive"]),
        helper.make_node("Flatten", ["positive"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "hidden_weight", "hidden_bias"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "score_weight", "score_bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    given = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [1, FRAMES, BANDS])
    answer = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1, 1])
    stored = [numpy_helper.from_array(np.ascontiguousarray(value.numpy()), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "wakeword", [given], [answer], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="wakeword")
    model.ir_version = 8  # what the onnxruntime of openWakeWord's time reads
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


@torch.inference_mode()
def score(head: Head, heard: np.ndarray) -> np.ndarray:
    """Return the probability after each chunk, `(chunks,)` float32; 0 until 16 embeddings are there.

    Args:
        head: in evaluation mode.
        heard: `(chunks, BANDS)` embeddings of a recording.
    """
    scores = np.zeros(len(heard), dtype=np.float32)
    if len(heard) >= FRAMES:
        windows = np.lib.stride_tricks.sliding_window_view(heard, FRAMES, axis=0).transpose(0, 2, 1)
        for first in range(0, len(windows), 8 * _BATCH):
            part = torch.from_numpy(np.array(windows[first : first + 8 * _BATCH], dtype=np.float32))
            scores[FRAMES - 1 + first : FRAMES - 1 + first + len(part)] = torch.sigmoid(head(part)).numpy()
    return scores
