"""How ingest and split keep up with a growing corpus: `python -m benchmarks.corpus_scale`.

Clips a second with one and with two workers, for speech that is synthesized and for files that are decoded; the peak
resident memory of ingest's main process and of its largest worker for 1 000, 10 000 and 100 000 files of half a second;
and the wall time of split on the last. The files, 1.7 GB, lie in a temporary folder and are removed.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from wakeword.corpus.shards import Corpus
from wakeword.sources.config import IngestConfig
from wakeword.sources.ingest import ingest
from wakeword.splitting.config import SplitConfig
from wakeword.splitting.deal import split

RESULT = Path(__file__).resolve().parent / "results" / "corpus_scale.json"
SIZES = (1_000, 10_000, 100_000)
SPOKEN = 300
SPEAKER_CLIPS = 50
SAMPLES = 8_000
PHRASE = "hey computer"
_EVERY_S = 0.2


def write_files(root: Path, first: int, last: int) -> None:
    """Write the files `first` to `last`: noise, every second a positive, 50 by each speaker."""
    for number in range(first, last):
        folder = root / ("positive" if number % 2 else "negative") / f"speaker={number // SPEAKER_CLIPS}"
        folder.mkdir(parents=True, exist_ok=True)
        pcm = np.random.default_rng(number).integers(-3000, 3000, SAMPLES, dtype=np.int16)
        (folder / f"{number}.wav").write_bytes(_header(pcm.nbytes) + pcm.tobytes())


def _header(size: int) -> bytes:
    """Return the header of a WAV file, 16 kHz mono int16."""
    fields = [(b"RIFF", 36 + size), (b"WAVEfmt ", 16)]
    start = b"".join(name + value.to_bytes(4, "little") for name, value in fields)
    numbers = [(1, 2), (1, 2), (16_000, 4), (32_000, 4), (2, 2), (16, 2)]
    middle = b"".join(value.to_bytes(width, "little") for value, width in numbers)
    return start + middle + b"data" + size.to_bytes(4, "little")


def run(folder: Path, config: dict[str, Any], workers: int) -> dict[str, float]:
    """Ingest in a process of its own; return clips, seconds, and peak MiB of the main process and a worker."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.corpus_scale",
        "--ingest",
        str(folder),
        json.dumps(config),
        str(workers),
    ]
    largest = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            # A worker's own peak, as the system keeps it, begins with that of the process that started it.
            with contextlib.suppress(psutil.Error):
                largest = max([largest, *(worker.memory_info().rss for worker in process.children())])
            time.sleep(_EVERY_S)
        told = child.stdout.read() if child.stdout else ""
    if child.returncode:
        sys.exit(child.returncode)
    cost: dict[str, float] = json.loads(told.splitlines()[-1])
    return cost | {"worker_mib": largest / 2**20}


def ingest_here(folder: Path, config: dict[str, Any], workers: int) -> dict[str, float]:
    started = time.perf_counter()
    corpus = folder / "corpus"
    ingest(IngestConfig.model_validate(config), [PHRASE], "en", 1, workers, corpus, folder / "report")
    seconds = time.perf_counter() - started
    with (corpus / "manifest.jsonl").open() as file:
        clips = sum(1 for _ in file)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"clips": clips, "s": seconds, "main_mib": peak_mib}


def split_s(folder: Path) -> float:
    started = time.perf_counter()
    clips = Corpus.open(folder / "corpus").clips
    split(clips, SplitConfig(), [PHRASE], 1, folder / "splits", folder / "split")
    return time.perf_counter() - started


def measure(folder: Path, sizes: list[int]) -> dict[str, float]:
    """Return all figures."""
    figures = {"cores": float(len(os.sched_getaffinity(0)))}
    spoken = {"root": str(folder), "folders": [], "synthesis": {"positives": SPOKEN, "negatives": SPOKEN}}
    for workers in (1, 2):
        cost = run(folder, spoken, workers)
        figures[f"synthesis_clips_per_s_{workers}_workers"] = cost["clips"] / cost["s"]
    files, written = folder / "files", 0
    decoded = {"root": str(files), "synthesis": None}
    for size in sizes:
        write_files(files, written, size)
        written = size
        cost = run(folder, decoded, 2)
        figures[f"ingest_{size}_s"] = cost["s"]
        figures[f"ingest_{size}_main_mib"] = cost["main_mib"]
        figures[f"ingest_{size}_worker_mib"] = cost["worker_mib"]
        figures["files_clips_per_s_2_workers"] = cost["clips"] / cost["s"]
        figures[f"split_{size}_s"] = split_s(folder)
        if size == sizes[0] or size == 10_000:
            single = run(folder, decoded, 1)
            figures["files_clips_per_s_1_workers"] = single["clips"] / single["s"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(SIZES), help="how many files (default: %(default)s)"
    )
    parser.add_argument("--ingest", nargs=3, metavar=("FOLDER", "CONFIG", "WORKERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ingest:
        folder, config, workers = options.ingest
        print(json.dumps(ingest_here(Path(folder), json.loads(config), int(workers))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(Path(temporary), options.sizes)
    rounded = {name: float(f"{value:.3g}") for name, value in figures.items()}
    if options.sizes == list(SIZES):
        RESULT.write_text(json.dumps(rounded, indent=2, sort_keys=True) + "\n")
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    main()
