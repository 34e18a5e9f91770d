"""What `train.compile` is worth: `GOMP_SPINCOUNT=10000 python -m benchmarks.compile_speed`.

A plain and a compiled network take turns, a few training steps each of the default batch, out of memory. The medians of
their steps are compared, and the median of the ratios of neighbouring turns, which other work on the machine disturbs
less. What compiling takes is the time of the compiled network's first turn less that of a later one.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.input_speed import (
    FRONTEND,
    MELS,
    RESULTS,
    Kept,
    model_section,
    objective_over,
    random_streams,
    stepper,
    train_config,
    turn,
)
from wakeword.features.cmvn import Cmvn
from wakeword.features.store import StreamSet, write
from wakeword.models.network import Network
from wakeword.training import devices

STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=model_section, default="{}", help="the section `model`, as JSON")
    parser.add_argument("--windows", type=int, help="of a batch; those of params.yaml where it is not given")
    parser.add_argument("--utterances", type=int, help="transcribed a step, 0 for none; likewise")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each")
    parser.add_argument("--out", type=Path, default=RESULTS / "compile_speed.json", help="where the figures go")
    arguments = parser.parse_args()
    device, config = devices.choose("auto"), train_config(arguments.windows, arguments.utterances)
    devices.make_repeatable(config.threads, 1)
    even = Cmvn(np.full(MELS, -8.0, np.float32), np.ones(MELS, np.float32), 1, FRONTEND.fingerprint)
    with tempfile.TemporaryDirectory() as temporary:
        write(Path(temporary), "train", random_streams(0.1), "f", MELS, 0.0)
        streams = StreamSet.open(Path(temporary), "train", "f")
        steps = {}
        for name in ("plain", "compiled"):
            network = Network(arguments.model, even, FRONTEND.floor, 1).to(device).train()
            if name == "compiled":
                devices.compile_forward(network)
            objective = objective_over(streams, network, device, config, None)
            objective.coming = Kept(objective.coming(0))
            steps[name] = stepper(network, objective, config)
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
        for round_ in range(arguments.rounds + 1):
            for name, step in steps.items():
                wall_s, cpu_s = turn(step, range(round_ * STEPS, (round_ + 1) * STEPS), device)
                turns[name].append((wall_s / STEPS, cpu_s / STEPS))
    first = {name: STEPS * spent.pop(0)[0] for name, spent in turns.items()}
    wall, cpu = ({name: [pair[kind] for pair in spent] for name, spent in turns.items()} for kind in (0, 1))
    result = {
        "compiling_s": round(first["compiled"] - STEPS * statistics.median(wall["compiled"]), 1),
        "cores": len(os.sched_getaffinity(0)),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "model": arguments.model.name,
        "of_the_plain_time": ratio(wall),
        "of_the_plain_time_by_cpu": ratio(cpu),
        "step_ms": {name: round(1000 * statistics.median(spent), 1) for name, spent in wall.items()},
        "step_cpu_ms": {name: round(1000 * statistics.median(spent), 1) for name, spent in cpu.items()},
        "windows_a_batch": config.batches.size,
        "utterances_a_step": config.phonemes.utterances if config.phonemes is not None else 0,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2))


def ratio(spent: dict[str, list[float]]) -> float:
    """Return the median ratio of neighbouring turns, compiled to plain."""
    pairs = zip(spent["compiled"], spent["plain"], strict=True)
    return round(statistics.median(compiled / plain for compiled, plain in pairs), 3)


if __name__ == "__main__":
    main()
