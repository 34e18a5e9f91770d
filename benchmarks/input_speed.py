"""Whether input starves training: `GOMP_SPINCOUNT=10000 python -m benchmarks.input_speed`.

The same training loop, forward and backward of the network, runs over

- windows and utterances that lie where it computes: one batch of random numbers, made beforehand, again and again;
- those of training streams, cut out of features that a GPU holds, as it does where they fit;
- those of streams read through a cache that holds all features;
- the same with a cache of a tenth of the features, whose file is dropped from the system's memory before every step,
  so that it stands for a corpus ten times larger than memory.

They take turns, a few steps each, and the medians of their turns are compared, in wall time and in CPU time of all
threads, which other work on the machine disturbs less. SpecAugment is part of all loops, what it draws is not part of
the first.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

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
from wakeword.training.objective import Inputs, Objective, optimizer
from wakeword.training.phonemes import UtteranceSampler
from wakeword.training.sampler import WindowSampler
from wakeword.training.windows import Features, ResidentFeatures

RESULTS = Path(__file__).resolve().parent / "results"
FRONTEND = FrontendConfig()
STREAM_S, MELS = 60, FRONTEND.mels
LOOPS = ("in_memory", "resident", "cached", "tenth_cached")
STEPS = 8
_PHONEMES = 50
_WATCH_S = 0.05


class Kept:
    """Gives one batch for every step, of random numbers in place of features, from where the network is."""

    def __init__(self, inputs: Inputs) -> None:
        spoken = inputs.spoken
        if spoken is not None:
            spoken = replace(spoken, features=torch.randn_like(spoken.features))
        self._inputs = replace(inputs, features=torch.randn_like(inputs.features), spoken=spoken)

    def __call__(self, _step: int) -> Inputs:
        return self._inputs


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


def stepper(network: Network, objective: Objective, config: TrainConfig) -> Callable[[int], None]:
    """Return a function that takes one training step, and does not wait for a GPU to have taken it."""
    learner = objective.learner(network).train()
    update = optimizer(learner, config.optimizer, 1e-4)

    def step(number: int) -> None:
        objective.backward(learner, number)
        update.step()
        update.zero_grad()

    return step


def turn(step: Callable[[int], None], numbers: Iterable[int], device: torch.device) -> tuple[float, float]:
    """Take steps, and return how many seconds they took, on the clock and of CPU."""
    started, cpu = time.perf_counter(), time.process_time()
    for number in numbers:
        step(number)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, time.process_time() - cpu


def objective_over(
    streams: StreamSet, network: Network, device: torch.device, config: TrainConfig, features: Features | None
) -> Objective:
    """Return the objective of training over streams, whose features lie where it is said."""
    sees = network.receptive_field, network.stride
    return Objective(
        WindowSampler(streams, 1, config.batches, config.loss, *sees, 1, features),
        FRONTEND,
        config.batches,
        config.loss,
        device,
        devices.precision(config.amp, device),
        utterances=UtteranceSampler(streams, config.phonemes, *sees, 1, features) if config.phonemes else None,
    )


def train_config(windows: int | None, utterances: int | None) -> TrainConfig:
    """Return the default section `train`, with other windows a batch and utterances a step where they are given."""
    config = TrainConfig(phonemes=PhonemesConfig())
    if windows is not None:
        config = config.model_copy(update={"batches": config.batches.model_copy(update={"size": windows})})
    if utterances is not None:
        config = config.model_copy(update={"phonemes": PhonemesConfig(utterances=utterances) if utterances else None})
    return config


def model_section(text: str) -> ModelConfig:
    """Return the section `model` that is written as JSON; the default network where it names none."""
    model: ModelConfig = TypeAdapter(ModelConfig).validate_python({"name": "ds_tcn"} | json.loads(text))
    return model


def drop_from_memory(path: Path) -> None:
    """Ask the system to forget what it holds of a file."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def figures_of_gpu(step: Callable[[int], None], seconds: float, device: torch.device) -> dict[str, float]:
    """Train for so long, and return how busy the GPU was, by NVML, and the most memory that tensors took."""
    busy: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_WATCH_S):
            busy.append(torch.cuda.utilization(device))

    watching = threading.Thread(target=watch)
    torch.cuda.reset_peak_memory_stats(device)
    until, number = time.perf_counter() + seconds, 1_000_000
    watching.start()
    while time.perf_counter() < until:
        number += 1
        step(number)
    torch.cuda.synchronize()
    done.set()
    watching.join()
    mib = torch.cuda.max_memory_allocated(device) / 2**20
    return {"gpu_busy": round(statistics.mean(busy) / 100, 3), "gpu_memory_mib": round(mib)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=4.0, help="length of the streams")
    parser.add_argument("--model", type=model_section, default="{}", help="the section `model`, as JSON")
    parser.add_argument("--windows", type=int, help="of a batch; those of params.yaml where it is not given")
    parser.add_argument("--utterances", type=int, help="transcribed a step, 0 for none; likewise")
    parser.add_argument("--compile", action="store_true", help="as train.compile does")
    parser.add_argument("--loops", nargs="+", choices=LOOPS[1:], help="which to run beside that in memory; all")
    parser.add_argument("--rounds", type=int, default=12, help="turns of each")
    parser.add_argument("--out", type=Path, default=RESULTS / "input_speed.json", help="where the figures go")
    arguments = parser.parse_args()
    device, config = devices.choose("auto"), train_config(arguments.windows, arguments.utterances)
    devices.make_repeatable(config.threads, 1)
    statistics_of_train = Cmvn(np.full(MELS, -8.0, np.float32), np.ones(MELS, np.float32), 1, FRONTEND.fingerprint)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        folder = Path(temporary)
        size_mb = write(folder, "train", random_streams(arguments.hours), "f", MELS, 0.0).all_features.nbytes / 2**20
        file = folder / "train.features.npy"
        os.sync()  # what is not on the disk yet can't be dropped from memory
        tenth, all_mb = max(1, round(size_mb / 10)), round(2 * size_mb) + 1
        loops = [
            LOOPS[0],
            *(arguments.loops or [name for name in LOOPS[1:] if device.type == "cuda" or name != "resident"]),
        ]
        steps, objectives = {}, {}
        for name in loops:
            streams = StreamSet.open(folder, "train", "f", tenth if name == "tenth_cached" else all_mb)
            network = Network(arguments.model, statistics_of_train, FRONTEND.floor, 1).to(device).train()
            if arguments.compile:
                devices.compile_forward(network)
            features = ResidentFeatures(streams.all_features, device) if name == "resident" else None
            objectives[name] = objective_over(streams, network, device, config, features)
            if name == "in_memory":
                objectives[name].coming = Kept(objectives[name].coming(0))
            steps[name] = stepper(network, objectives[name], config)
            if name == "cached":
                streams.rows(0, len(streams.all_features))  # as after the first epochs
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
        for round_ in range(arguments.rounds + 1):
            for name, step in steps.items():
                if name == "tenth_cached":
                    step = dropping(step, file)
                took = turn(step, range(round_ * STEPS, (round_ + 1) * STEPS), device)
                if round_:  # the first round warms up
                    spent[name].append(took)
        of_gpu = figures_of_gpu(steps[loops[1]], 5.0, device) if device.type == "cuda" else {}
    wall, cpu = (
        {name: statistics.median(pair[kind] for pair in pairs) / STEPS for name, pairs in spent.items()}
        for kind in (0, 1)
    )
    from_streams = loops[1:]
    result = {
        "cores": len(os.sched_getaffinity(0)),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "features_mib": round(size_mb, 1),
        "compiled": arguments.compile,
        "model": arguments.model.name,
        "windows_a_batch": config.batches.size,
        "utterances_a_step": config.phonemes.utterances if config.phonemes is not None else 0,
        "windows_a_second": {name: round(config.batches.size / seconds) for name, seconds in wall.items()},
        "step_ms": {name: round(1000 * seconds, 1) for name, seconds in wall.items()},
        "step_cpu_ms": {name: round(1000 * seconds, 1) for name, seconds in cpu.items()},
        "of_the_speed_in_memory": {name: round(wall["in_memory"] / wall[name], 3) for name in from_streams},
        "of_the_speed_in_memory_by_cpu": {name: round(cpu["in_memory"] / cpu[name], 3) for name in from_streams},
    } | of_gpu
    if "tenth_cached" in loops:
        result["tenth_cached_hit_rate"] = round(objectives["tenth_cached"].input_figures(1.0)["found_in_cache"], 3)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2))


def dropping(step: Callable[[int], None], file: Path) -> Callable[[int], None]:
    """Return what lets the system forget a file before each step."""

    def stepped(number: int) -> None:
        drop_from_memory(file)
        step(number)

    return stepped


if __name__ == "__main__":
    main()
