"""Whether input starves training: `GOMP_SPINCOUNT=10000 python -m benchmarks.input_speed`.

The same training loop, forward and backward of the default network, runs over

- windows and utterances out of memory: one batch of random numbers, made beforehand, again and again;
- those of training streams through the samplers, with a cache that holds all features;
- the same with a cache of a tenth of the features, whose file is dropped from the system's memory before every step,
  so that it stands for a corpus ten times larger than memory.

The three take turns, a few steps each, and the medians of their steps are compared, in wall time and in CPU time of all
threads, which other work on the machine disturbs less. SpecAugment is part of all three loops.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from pydantic import TypeAdapter

from wakeword.features.cmvn import Cmvn
from wakeword.features.frontend import FrontendConfig
from wakeword.features.store import Segment, Stream, StreamSet, write
from wakeword.models.config import ModelConfig
from wakeword.models.network import Network
from wakeword.training import devices
from wakeword.training.config import PhonemesConfig, TrainConfig
from wakeword.training.objective import Objective, optimizer
from wakeword.training.phonemes import UtteranceSampler
from wakeword.training.sampler import WindowSampler

RESULT = Path(__file__).resolve().parent / "results" / "input_speed.json"
FRONTEND, TRAIN = FrontendConfig(), TrainConfig(phonemes=PhonemesConfig())
STREAM_S, MELS = 60, FRONTEND.mels
STEPS = 8
_PHONEMES = 50
FROM_DISK = ("cached", "tenth_cached")

Sampler = TypeVar("Sampler", WindowSampler, UtteranceSampler)


def repeating(sampler: Sampler) -> Sampler:
    """Let a sampler give one batch for every step, of random numbers in place of features."""
    drawn = sampler.batch(0)
    noise = np.random.default_rng(0).standard_normal(drawn.features.shape).astype(np.float32)
    kept = replace(drawn, features=noise)
    sampler.batch = lambda _step: kept
    return sampler


def random_streams(hours: float) -> Iterator[tuple[Stream, np.ndarray, np.ndarray]]:
    """Yield streams of noise with as many clips as real ones have."""
    rng = np.random.default_rng(0)
    for index in range(max(1, round(hours * 3600 / STREAM_S))):
        starts = np.arange(1.0, STREAM_S - 3.0, 3.2)
        segments = [
            Segment(float(start), float(start) + 1.0, "positive", "phrase", "g", f"{index}", 0, True, _said(rng, 8))
            if rng.random() < 0.3
            else Segment(
                float(start), float(start) + 2.0, "negative", "speech", "g", f"{index}", None, True, _said(rng, 20)
            )
            for start in starts
        ]
        features = rng.standard_normal((STREAM_S * 100, MELS), dtype=np.float32) - 8.0
        yield Stream(f"s{index}", "train", 0, len(features), segments), features, np.zeros(0, np.int16)


def _said(rng: np.random.Generator, length: int) -> str:
    return " ".join(str(phoneme) for phoneme in rng.integers(_PHONEMES, size=length))


def stepper(network: Network, objective: Objective) -> Callable[[int], tuple[float, float]]:
    """Return a function that takes one training step and says how many seconds it took, on the clock and of CPU."""
    learner = objective.learner(network).train()
    update = optimizer(learner, TRAIN.optimizer, 1e-4)

    def step(number: int) -> tuple[float, float]:
        started, cpu = time.perf_counter(), time.process_time()
        objective(learner, number).backward()
        update.step()
        update.zero_grad()
        if objective.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started, time.process_time() - cpu

    return step


def objective_over(streams: StreamSet, network: Network, device: torch.device, in_memory: bool) -> Objective:
    """Return the objective of training: windows and utterances of streams, or the same ones in every step."""
    assert TRAIN.phonemes is not None
    sees = network.receptive_field, network.stride
    windows = WindowSampler(streams, 1, TRAIN.batches, TRAIN.loss, *sees, seed=1)
    utterances = UtteranceSampler(streams, TRAIN.phonemes, *sees, seed=1)
    if in_memory:
        windows, utterances = repeating(windows), repeating(utterances)
    return Objective(windows, FRONTEND, TRAIN.batches, TRAIN.loss, device, None, utterances=utterances)


def model_section(text: str) -> ModelConfig:
    """Return the section `model` that is written as JSON; the default network where it names none."""
    model: ModelConfig = TypeAdapter(ModelConfig).validate_python({"name": "ds_tcn"} | json.loads(text))
    return model


def drop_from_memory(path: Path) -> None:
    """Ask the system to forget what it holds of a file."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=4.0, help="length of the streams")
    parser.add_argument("--model", type=model_section, default="{}", help="the section `model`, as JSON")
    parser.add_argument("--rounds", type=int, default=12, help="turns of each")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the figures go")
    arguments = parser.parse_args()
    device = devices.choose("auto")
    devices.make_repeatable(TRAIN.threads, 1)
    statistics_of_train = Cmvn(np.full(MELS, -8.0, np.float32), np.ones(MELS, np.float32), 1, FRONTEND.fingerprint)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        folder = Path(temporary)
        size_mb = write(folder, "train", random_streams(arguments.hours), "f", MELS, 0.0).all_features.nbytes / 2**20
        file = folder / "train.features.npy"
        os.sync()  # what is not on the disk yet can't be dropped from memory
        tenth = max(1, round(size_mb / 10))
        cache_mbs = {"in_memory": tenth, "cached": round(2 * size_mb) + 1, "tenth_cached": tenth}
        steps, objectives = {}, {}
        for name, cache_mb in cache_mbs.items():
            streams = StreamSet.open(folder, "train", "f", cache_mb)
            network = Network(arguments.model, statistics_of_train, FRONTEND.floor, 1).to(device).train()
            objectives[name] = objective_over(streams, network, device, in_memory=name == "in_memory")
            steps[name] = stepper(network, objectives[name])
            if name == "cached":
                assert streams.cache is not None
                streams.cache.rows(0, len(streams.all_features))  # as after the first epochs
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
        for round_ in range(arguments.rounds + 1):
            for name, step in steps.items():
                for number in range(round_ * STEPS, (round_ + 1) * STEPS):
                    if name == "tenth_cached":
                        drop_from_memory(file)
                    took = step(number)
                    if round_:  # the first round warms up
                        spent[name].append(took)
    wall, cpu = (
        {name: statistics.median(pair[kind] for pair in pairs) for name, pairs in spent.items()} for kind in (0, 1)
    )
    cache = objectives["tenth_cached"].sampler.streams.cache
    assert cache is not None
    result = {
        "cores": len(os.sched_getaffinity(0)),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "features_mib": round(size_mb, 1),
        "windows_a_batch": TRAIN.batches.size,
        "utterances_a_step": TRAIN.phonemes.utterances if TRAIN.phonemes is not None else 0,
        "step_ms": {name: round(1000 * seconds, 1) for name, seconds in wall.items()},
        "step_cpu_ms": {name: round(1000 * seconds, 1) for name, seconds in cpu.items()},
        "of_the_speed_in_memory": {name: round(wall["in_memory"] / wall[name], 3) for name in FROM_DISK},
        "of_the_speed_in_memory_by_cpu": {name: round(cpu["in_memory"] / cpu[name], 3) for name in FROM_DISK},
        "waited_share": {
            name: round(objective.coming.waited_s / sum(pair[0] for pair in spent[name]), 3)
            for name, objective in objectives.items()
        },
        "tenth_cached_hit_rate": round(cache.hits / (cache.hits + cache.misses), 3),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
