"""What a model costs on this machine: processor time over chunk sizes, time to the first score, memory."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from wakeword.runtime.detector import Detector

CHUNKS_MS = (10, 20, 30, 40, 60, 80, 100, 120, 160)
_SECONDS = 20
_ROUNDS = 3

# Runs in a fresh interpreter. What the interpreter, NumPy and onnxruntime hold is counted apart from what comes on top.
_START = """
import json, sys, time
started = time.perf_counter()
import numpy, onnxruntime

def held(which):
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(which)) / 1024
    except OSError:
        return None

before = held("VmRSS")
from wakeword import Detector
detector = Detector(sys.argv[1])
detector.process(numpy.zeros(detector.info.hop_samples, dtype=numpy.int16))
seconds = time.perf_counter() - started
noise = numpy.random.default_rng(0).integers(-3000, 3000, 160_000).astype(numpy.int16)
for first in range(0, len(noise), 1280):
    detector.process(noise[first : first + 1280])
print(json.dumps([seconds, before and held("VmHWM") - before]))
"""


def measure(model: Path) -> dict[str, Any]:
    """Return what a model costs, measured on one thread with noise that is the same every time.

    Returns:
        `cpu_s_per_s`: processor seconds for each second of audio, by chunk length in ms; the median of some rounds.
        `first_score_s`: from the start of the imports, NumPy's and onnxruntime's too, to the first score.
        `memory_mib`: the most held beyond the interpreter with NumPy and onnxruntime loaded; null without `/proc`.

    Raises:
        FileNotFoundError, ValueError: as `Detector` does.
    """
    detector = Detector(model)
    pcm = np.random.default_rng(0).integers(-3000, 3000, _SECONDS * detector.info.sample_rate).astype(np.int16)
    curve = {str(chunk_ms): _cpu_s_per_s(detector, pcm, chunk_ms) for chunk_ms in CHUNKS_MS}
    starts = [_start(model) for _ in range(_ROUNDS)]
    memory = [mib for _, mib in starts if mib is not None]
    return {
        "cpu_s_per_s": curve,
        "first_score_s": round(statistics.median(seconds for seconds, _ in starts), 3),
        "memory_mib": round(max(memory), 1) if memory else None,
    }


def table(result: dict[str, Any]) -> str:
    """Return a measurement as lines for people."""
    lines = ["chunk   CPU s per s of audio"]
    lines += [f"{chunk_ms:>3} ms  {cost:.4f}" for chunk_ms, cost in result["cpu_s_per_s"].items()]
    lines.append(f"import to first score: {result['first_score_s']:.2f} s")
    memory = "not known here" if result["memory_mib"] is None else f"{result['memory_mib']:.0f} MiB"
    lines.append(f"memory beyond the interpreter with NumPy and onnxruntime, at its peak: {memory}")
    return "\n".join(lines)


def _cpu_s_per_s(detector: Detector, pcm: np.ndarray, chunk_ms: int) -> float:
    step = chunk_ms * detector.info.sample_rate // 1000
    spent = []
    for _ in range(_ROUNDS):
        detector.reset()
        started = time.process_time()
        for first in range(0, len(pcm), step):
            detector.process(pcm[first : first + step])
        spent.append((time.process_time() - started) / _SECONDS)
    return float(f"{statistics.median(spent):.3g}")


def _start(model: Path) -> tuple[float, float | None]:
    """Return seconds to the first score and MiB at the peak, of a fresh interpreter."""
    source = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))  # an empty entry is this folder
    command = [sys.executable, "-P", "-c", _START, str(model)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ValueError(f"a fresh interpreter could not run {model}: {reason}")
    seconds, mib = json.loads(done.stdout)
    return seconds, mib
