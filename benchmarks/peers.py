"""What listening costs, beside other wake-word engines: `make peers`, with `models/wakeword.onnx` in place.

Every engine runs in a process of its own on one core and one thread, over the same minute of audio; they take turns,
so that a change of the machine's mood meets all of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "peers.json"
PEERS_PYTHON = ROOT / ".cache" / "peers" / "bin" / "python"
RECORDINGS = ROOT.parent / "shared" / "data" / "real"
SAMPLE_RATE = 16_000
SECONDS = 60
ROUNDS = 7
PEERS = {"porcupine": "pvporcupine", "openwakeword": "openwakeword", "microwakeword": "pymicro-wakeword"}
CHUNKS_MS = (10, 20, 40, 80, 160)
RUNS = [
    *(("wakeword", chunk_ms) for chunk_ms in CHUNKS_MS),
    *(("microwakeword", chunk_ms) for chunk_ms in CHUNKS_MS),
    ("porcupine", 0),  # takes chunks of one size only
    *(("openwakeword", chunk_ms) for chunk_ms in CHUNKS_MS if chunk_ms % 80 == 0),
]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def real_audio(folder: Path) -> np.ndarray:
    """Return a minute, int16, of pieces of 5 s from recordings of speech and of noise in turn."""
    parts: list[np.ndarray] = []
    found = [sorted((folder / kind).rglob("*.flac")) for kind in ("speech", "noise")]
    for index in range(SECONDS // 5):
        paths = found[index % 2]
        first, part = index * len(paths) // (SECONDS // 5), np.zeros(0, dtype=np.int16)
        while len(part) < 5 * SAMPLE_RATE:
            part = np.concatenate([part, soundfile.read(paths[first % len(paths)], dtype="int16")[0]])
            first += 1
        parts.append(part[: 5 * SAMPLE_RATE])
    minute: np.ndarray = np.concatenate(parts)
    return minute


def generated_audio() -> np.ndarray:
    """Return a minute, int16, of noise that swells and fades as fast as syllables do."""
    time = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    swelling = np.sin(2 * np.pi * 2 * time) ** 4
    noise = np.random.default_rng(0).standard_normal(len(time)) * 3000 * swelling
    audio: np.ndarray = np.clip(noise, -32768, 32767).astype(np.int16)
    return audio


def measure(name: str, chunk_ms: int, recording: Path, model: Path) -> dict[str, float]:
    """Run one engine once; its figures are those of `benchmarks.contestant.run`."""
    python = sys.executable if name == "wakeword" else str(PEERS_PYTHON)
    script = str(ROOT / "benchmarks" / "contestant.py")
    command = [python, "-P", script, name, str(chunk_ms * SAMPLE_RATE // 1000), str(recording), str(model)]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT / "src") if name == "wakeword" else ""}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    if ran.returncode:
        raise SystemExit(f"{name} failed:\n{ran.stderr}")
    return json.loads(ran.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians of some rounds, and the extremes of the CPU time."""
    medians = {key: round(statistics.median(one[key] for one in rounds), 4) for key in rounds[0]}
    spent = [one["cpu_s_per_s"] for one in rounds]
    return medians | {"cpu_lowest": round(min(spent), 4), "cpu_highest": round(max(spent), 4)}


def versions() -> dict[str, str]:
    """Return the version of every engine, and of what ours runs on."""
    script = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    command = [str(PEERS_PYTHON), "-c", script, *PEERS.values()]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = dict(zip(PEERS.values(), ran.stdout.split(), strict=True))
    return theirs | {name: version(name) for name in ("onnxruntime", "numpy")}


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "wakeword.onnx")
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, help="folder with speech/ and noise/ in FLAC")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if not options.model.exists():
        raise SystemExit(f"{options.model} is missing; run `make repro`, or name another model with --model")
    real = options.recordings.exists()
    measured: dict[tuple[str, int], list[dict[str, float]]] = {run: [] for run in RUNS}
    with tempfile.TemporaryDirectory() as temporary:
        recording = Path(temporary) / "audio.npy"
        np.save(recording, real_audio(options.recordings) if real else generated_audio())
        for index in range(options.rounds + 1):
            for run in RUNS:
                figures = measure(*run, recording, options.model)
                if index:  # the first round only warms the disk's cache
                    measured[run].append(figures)
    result = {
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[1], 1),
        "audio": f"{SECONDS} s of " + ("recorded speech and noise" if real else "generated noise"),
        "engines": [{"engine": name} | summary(rounds) for (name, _), rounds in measured.items()],
        "processor": processor(),
        "rounds": options.rounds,
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
