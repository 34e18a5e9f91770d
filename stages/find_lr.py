"""Sweep the learning rate over real training steps and suggest one: `data/reports/find-lr/`."""

import csv
from pathlib import Path

from wakeword.base import log
from wakeword.base.files import replacing_folder, write_json
from wakeword.base.params import Language, Phrases, Section, Seed, load
from wakeword.base.stage import main
from wakeword.features import cmvn
from wakeword.features.frontend import FrontendConfig
from wakeword.features.store import StreamSet
from wakeword.models.config import DsTcnConfig, ModelConfig
from wakeword.models.network import Network
from wakeword.runtime_config import RuntimeConfig
from wakeword.training import devices, lr_range_test
from wakeword.training.config import FindLrConfig, TrainConfig
from wakeword.training.objective import training_objective
from wakeword.training.plots import draw_lr_range_test
from wakeword.training.sampler import too_long

FEATURES, CMVN, REPORT = Path("data/npy"), Path("data/cmvn.json"), Path("data/reports/find-lr")


class Params(Section):
    phrases: Phrases
    language: Language = "en"
    seed: Seed
    features: FrontendConfig = FrontendConfig()
    model: ModelConfig = DsTcnConfig()
    train: TrainConfig = TrainConfig()
    find_lr: FindLrConfig = FindLrConfig()
    runtime: RuntimeConfig = RuntimeConfig()


def run() -> None:
    params = load(Params)
    train, seed = params.train, params.seed
    device = devices.choose(params.runtime.device)
    devices.make_repeatable(train.threads, seed)
    streams = StreamSet.open(FEATURES, "train", params.features.fingerprint, params.runtime.cache_mb, audio=False)
    statistics = cmvn.load(CMVN, params.features.fingerprint)
    network = Network(params.model, statistics, params.features.floor, len(params.phrases)).to(device)
    for told in too_long(streams.streams, params.phrases, network.receptive_field):
        log.warning(told)
    objective = training_objective(train, streams, network, params.features, params.phrases, params.language, seed)
    found = lr_range_test.run(network, objective, train.optimizer, params.find_lr, seed)
    with replacing_folder(REPORT) as folder:
        write_json(
            folder / "metrics.json",
            {
                "suggested": found.knee,
                "knee": found.knee,
                "steepest": found.steepest,
                "valley": found.valley,
                "steps": len(found.rates),
            },
        )
        with (folder / "sweep.csv").open("w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["lr", "loss", "smoothed"])
            for row in zip(found.rates, found.losses, found.smoothed, strict=True):
                rows.writerow([f"{value:.6g}" for value in row])
        draw_lr_range_test(folder / "sweep.png", found)
    log.info("suggested", lr=f"{found.knee:.3g}", valley=f"{found.valley:.3g}", steepest=f"{found.steepest:.3g}")


if __name__ == "__main__":
    main("find-lr", run)
