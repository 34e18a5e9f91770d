"""What onnxruntime's options and IO binding do to a call of the network: `python -m benchmarks.session_options`.

Processor time of a call with one chunk of 80 ms, in microseconds: the least of some rounds that take turns, so that
other work on the machine meets all alike.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from wakeword.runtime.detector import Detector
from wakeword.runtime.scorer import Scorer

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "session_options.json"
SAMPLES = 1280
CALLS = 500
ROUNDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "wakeword.onnx")
    content = parser.parse_args().model.read_bytes()
    pcm = np.random.default_rng(0).integers(-3000, 3000, SAMPLES).astype(np.int16)
    scorer, detector = Scorer(content), Detector(content)
    calls: dict[str, Callable[[], Any]] = {
        "as it is": running(session(content)),
        "without arena": running(session(content, enable_cpu_mem_arena=False)),
        "without memory pattern": running(session(content, enable_mem_pattern=False)),
        "with IO binding": bound(session(content)),
        "Scorer.score": lambda: scorer.score(pcm),
        "Detector.process": lambda: detector.process(pcm),
    }
    spent = {name: min(costs) for name, costs in rounds(calls).items()}
    result = {name: round(1e6 * seconds) for name, seconds in spent.items()}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


def rounds(calls: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return the processor seconds of a call in each round."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            started = time.process_time()
            for _ in range(CALLS):
                call()
            spent[name].append((time.process_time() - started) / CALLS)
    return spent


def session(content: bytes, **changed: bool) -> onnxruntime.InferenceSession:
    """Load the model as the runtime does, but for what is changed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for name, value in changed.items():
        setattr(options, name, value)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def inputs(loaded: onnxruntime.InferenceSession) -> dict[str, np.ndarray]:
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (1, SAMPLES)).astype(np.float32)
    return {"audio": audio, "state": np.zeros((1, loaded.get_inputs()[1].shape[1]), dtype=np.float32)}


def running(loaded: onnxruntime.InferenceSession) -> Callable[[], Any]:
    feeds = inputs(loaded)
    return lambda: loaded.run(["scores", "next_state"], feeds)


def bound(loaded: onnxruntime.InferenceSession) -> Callable[[], Any]:
    """Return a call that finds its inputs and leaves its outputs where they always are."""
    feeds = inputs(loaded)
    scores = loaded.run(["scores"], feeds)[0]
    outputs = {"scores": scores, "next_state": feeds["state"].copy()}
    binding = loaded.io_binding()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
    for name, value in outputs.items():
        binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
    return lambda: loaded.run_with_iobinding(binding)


if __name__ == "__main__":
    main()
