"""Runs one peer over recorded streams and keeps what it gave; `benchmarks.peers_accuracy` calls it.

It is run by the interpreter in which the peers are installed, so it imports NumPy and the peer alone. Every stream is
heard by a fresh engine. Times count as ours do: what is known once `n` samples are in belongs to `n / 16000` seconds.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16_000
Heard = Sequence[np.ndarray]


def porcupine_phrases() -> list[str]:
    import pvporcupine

    return sorted(pvporcupine.KEYWORDS)


def porcupine(streams: Heard, phrase: str, _: str, sensitivity: float) -> list[list[float]]:
    """Return the seconds at which it fires, for each stream: all that it tells."""
    import pvporcupine

    found = []
    for pcm in streams:
        engine = pvporcupine.create(keywords=[phrase], sensitivities=[sensitivity])
        size, times = engine.frame_length, []
        for first in range(0, len(pcm) - size + 1, size):
            if engine.process(pcm[first : first + size].tolist()) >= 0:
                times.append((first + size) / RATE)
        engine.delete()
        found.append(times)
    return found


def openwakeword_phrases() -> list[str]:
    import openwakeword

    return sorted(name.replace("_", " ") for name in openwakeword.models if name not in ("timer", "weather"))


def openwakeword(streams: Heard, phrase: str, model: str, _: float) -> list[list[float]]:
    """Return a score for each 80 ms of each stream; `model` is a file, or "" for the package's own."""
    import openwakeword as package
    from openwakeword.model import Model

    names = [phrase.replace(" ", "_")]
    path = model or next(path for path in package.get_pretrained_model_paths("onnx") if names[0] in Path(path).stem)
    found = []
    for pcm in streams:
        np.random.seed(0)  # noqa: NPY002 - it fills its buffers with noise at first
        engine = Model(wakeword_models=[path], inference_framework="onnx")
        size = 1280
        chunks = (pcm[first : first + size] for first in range(0, len(pcm) - size + 1, size))
        found.append([float(max(engine.predict(chunk).values())) for chunk in chunks])
    return found


def microwakeword_phrases() -> list[str]:
    from pymicro_wakeword import Model

    return sorted(model.value.replace("_", " ") for model in Model)


def microwakeword(streams: Heard, phrase: str, model: str, _: float) -> list[list[float]]:
    """Return a score for each `stride` feature frames of each stream; `model` is a manifest, or "" as above."""
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    found = []
    for pcm in streams:
        own = MicroWakeWord.from_config(model) if model else MicroWakeWord.from_builtin(Model(phrase.replace(" ", "_")))
        engine = single_scores(own)
        features, scores = MicroWakeWordFeatures(), []
        # Its window is 30 ms at a step of 10 ms: with 20 ms of silence before, frame `n` ends at `n` steps.
        led = np.concatenate([np.zeros(320, dtype=np.int16), pcm])
        for index, frame in enumerate(features.process_streaming(led.tobytes())):
            score = engine.process_streaming_prob(frame)
            if index % engine.stride == engine.stride - 1:
                scores.append(float(score))
        found.append(scores)
    return found


def single_scores(engine: Any) -> Any:
    """Return the same model without its moving average, which is swept with the threshold in `peers_accuracy`."""
    return type(engine)(
        id=engine.id,
        wake_word=engine.wake_word,
        tflite_model=engine.tflite_model,
        probability_cutoff=engine.probability_cutoff,
        sliding_window_size=1,
        trained_languages=engine.trained_languages,
        libtensorflowlite_c_path=engine.libtensorflowlite_c_path,
    )


def microwakeword_policy(phrase: str, model: str) -> dict[str, float]:
    """Return what its manifest asks for."""
    from pymicro_wakeword import MicroWakeWord, Model

    own = MicroWakeWord.from_config(model) if model else MicroWakeWord.from_builtin(Model(phrase.replace(" ", "_")))
    return {"threshold": own.probability_cutoff, "smoothing": own.sliding_window_size, "shift_ms": 10 * own.stride}


ENGINES = {engine.__name__: engine for engine in (porcupine, openwakeword, microwakeword)}
PHRASES = {
    "porcupine": porcupine_phrases,
    "openwakeword": openwakeword_phrases,
    "microwakeword": microwakeword_phrases,
}


def answer(asked: dict[str, Any]) -> Any:
    """Return what was asked for: the phrases that each peer knows, a policy, or what one gives on streams."""
    if asked["what"] == "phrases":
        return {name: phrases() for name, phrases in PHRASES.items()}
    if asked["what"] == "policy":
        return microwakeword_policy(asked["phrase"], asked["model"])
    audio = np.load(asked["audio"], mmap_mode="r")
    streams = [np.array(audio[first:end]) for first, end in asked["spans"]]
    return ENGINES[asked["engine"]](streams, asked["phrase"], asked["model"], asked["sensitivity"])


if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin))))
