"""Runs one wake-word engine over a recording and prints what that cost as JSON; `benchmarks.peers` calls it.

It is run by the interpreter in which that engine is installed, so it imports NumPy and the engine alone. Each engine is
fed by its own documentation: Porcupine with lists of numbers, the others with arrays or bytes, all with one phrase.
"""

import time

_STARTED = time.perf_counter()

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

_NUMPY_S = time.perf_counter() - _STARTED

FIRST = 2560  # samples until which each engine has given a score: 160 ms
WARM_UP = 80_000
Listen = Callable[[np.ndarray], object]


def wakeword(model: str) -> tuple[int, Listen]:
    """Return the chunk that an engine asks for, 0 for any, and what takes a chunk, `(samples,)` int16."""
    from wakeword import Detector

    return 0, Detector(model).process


def porcupine(model: str) -> tuple[int, Listen]:
    import pvporcupine

    engine = pvporcupine.create(keywords=["alexa"])
    return engine.frame_length, lambda chunk: engine.process(chunk.tolist())


def openwakeword(model: str) -> tuple[int, Listen]:
    import openwakeword
    from openwakeword.model import Model

    (path,) = (path for path in openwakeword.get_pretrained_model_paths() if "alexa" in path)
    return 0, Model(wakeword_models=[path]).predict


def microwakeword(model: str) -> tuple[int, Listen]:
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    engine, features = MicroWakeWord.from_builtin(Model.ALEXA), MicroWakeWordFeatures()
    return 0, lambda chunk: [engine.process_streaming(f) for f in features.process_streaming(chunk.tobytes())]


ENGINES = {engine.__name__: engine for engine in (wakeword, porcupine, openwakeword, microwakeword)}


def memory_mib(field: str) -> float:
    """Return a line of this process's memory account: `VmRSS`, held now, or `VmHWM`, held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def chunks(pcm: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for first in range(0, len(pcm) - size + 1, size):
        yield pcm[first : first + size]


def run(name: str, size: int, recording: str, model: str) -> dict[str, float]:
    """Measure one engine.

    Args:
        name: of the engine.
        size: samples to a chunk where the engine takes any, else 0.
        recording: 16 kHz int16 samples in an `.npy` file.
        model: exported file, for our own engine.

    Returns:
        CPU seconds, of all threads, per second of audio; peak MiB above what the interpreter holds with NumPy loaded,
        and for our own also above what it holds with onnxruntime; wall seconds from the first import
        until `FIRST` samples are scored.
    """
    pcm = np.load(recording)
    above = {"numpy": memory_mib("VmRSS")}
    started = time.perf_counter()
    if name == "wakeword":
        import onnxruntime  # noqa: F401

        above["onnxruntime"] = memory_mib("VmRSS")
    asked, listen = ENGINES[name](model)
    size = asked or size
    for chunk in chunks(pcm[: max(FIRST, size)], size):
        listen(chunk)
    start_s = _NUMPY_S + time.perf_counter() - started
    for chunk in chunks(pcm[:WARM_UP], size):
        listen(chunk)
    before = time.process_time()
    for chunk in chunks(pcm, size):
        listen(chunk)
    spent = time.process_time() - before
    result = {"chunk_ms": size / 16, "cpu_s_per_s": spent / (len(pcm) / 16_000), "start_s": start_s}
    return result | {f"above_{what}_mib": memory_mib("VmHWM") - held for what, held in above.items()}


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])))
