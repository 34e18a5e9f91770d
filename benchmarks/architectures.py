"""What each architecture costs: `python -m benchmarks.architectures` (about a minute) writes docs/architectures.md.

Nothing is trained: none of these figures depends on the weights.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from tools import readme
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers import processor
from wakeword.export.graph import build
from wakeword.export.parity import cpu_cost
from wakeword.export.quantization import quantize
from wakeword.features.cmvn import Cmvn
from wakeword.features.frontend import FRAME_MS, SAMPLE_RATE, FrontendConfig
from wakeword.models.checkpoint import TrainedModel
from wakeword.models.config import (
    BcResNetConfig,
    ConformerConfig,
    CrnnConfig,
    DsTcnConfig,
    MixedNetConfig,
    ModelConfig,
)
from wakeword.models.network import Network, parameter_count
from wakeword.runtime.scorer import Scorer

RESULT = Path(__file__).resolve().parent / "results" / "architectures.json"
PAGE = "docs/architectures.md"
CONFIGS: list[ModelConfig] = [
    DsTcnConfig(),
    DsTcnConfig(stride=3),
    BcResNetConfig(),
    BcResNetConfig(stride=1, dilations=[1, 2, 4, 8]),
    BcResNetConfig(tau=2),
    MixedNetConfig(),
    MixedNetConfig(channels=80, residual=True),
    CrnnConfig(),
    ConformerConfig(),
]
FRONTEND = FrontendConfig()
CALIBRATION_S = 10
ROUNDS = 5


def main() -> None:
    torch.set_num_threads(1)
    models = [untrained(config) for config in CONFIGS]
    files = [exported(model) for model in models]
    costs = measured_in_turn([content for pair in files for content in pair])
    rows = [
        described(config, model) | {"fp32_kb": len(fp32) / 1000, "int8_kb": len(int8) / 1000}
        for config, model, (fp32, int8) in zip(CONFIGS, models, files, strict=True)
    ]
    for row, fp32_cost, int8_cost in zip(rows, costs[::2], costs[1::2], strict=True):
        row |= {"fp32_cpu_s_per_s": fp32_cost, "int8_cpu_s_per_s": int8_cost}
    result = {
        "architectures": rows,
        "processor": processor(),
        "load_average": round(os.getloadavg()[0], 1),
        "cores": len(os.sched_getaffinity(0)),
        "rounds": ROUNDS,
        "versions": {"onnxruntime": onnxruntime.__version__, "torch": torch.__version__},
    }
    RESULT.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    page = readme.ROOT / PAGE
    page.write_text(readme.updated(PAGE, page.read_text()))


def untrained(config: ModelConfig) -> TrainedModel:
    torch.manual_seed(0)
    mels = FRONTEND.mels
    cmvn = Cmvn(np.full(mels, -8.0, np.float32), np.full(mels, 3.0, np.float32), 1, FRONTEND.fingerprint)
    network = Network(config, cmvn, FRONTEND.floor, phrases=1).eval()
    return TrainedModel(network, FRONTEND, ["hey computer"], "en", {})


def exported(model: TrainedModel) -> tuple[bytes, bytes]:
    """Return the fp32 and the int8 file."""
    noise = np.random.default_rng(0).standard_normal(CALIBRATION_S * SAMPLE_RATE) * 1000
    return build(model), quantize(build(model, separable=True), noise.astype(np.int16))


def measured_in_turn(files: list[bytes]) -> list[float]:
    """Return the CPU seconds of each file for a second of audio: the least of rounds in which all take turns."""
    scorers = [Scorer(content) for content in files]
    rounds = [[cpu_cost(scorer, seconds=2.0, repeats=2) for scorer in scorers] for _ in range(ROUNDS)]
    return [min(costs) for costs in zip(*rounds, strict=True)]


def described(config: ModelConfig, model: TrainedModel) -> dict[str, Any]:
    """Return what follows from the architecture alone."""
    network = model.network
    changed = {key: value for key, value in config.model_dump().items() if value != type(config)().model_dump()[key]}
    return {
        "config": {"name": config.name, **changed},
        "parameters": parameter_count(network),
        "macs_per_s": macs_per_second(network),
        "frame_shift_ms": network.frame_shift_ms,
        "receptive_field_ms": float(Scorer(build(model)).info.receptive_field_ms),
        "state_bytes": 4 * network.state_size,
    }


def macs_per_second(network: Network) -> float:
    """Return the multiplications with weights that a stream takes for each second of audio."""
    frames = 100 * network.stride
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.stream(torch.zeros(1, frames, FRONTEND.mels), torch.zeros(1, network.state_size))
    return counter.get_total_flops() / 2 / (frames * FRAME_MS / 1000)


if __name__ == "__main__":
    main()
