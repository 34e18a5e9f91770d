"""Train the network and keep the averaged weights that did best on the dev streams: `models/best_model.pt`.

What was mined on the way, `data/mined.json`.
"""

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import fingerprint, hash_files, read_json, replacing_folder, write_json
from wakeword.base.params import Language, Phrases, Section, Seed, load
from wakeword.base.stage import main
from wakeword.evaluation.config import EvaluateConfig
from wakeword.evaluation.judging import false_alarms_at, judge_streams, training_policy
from wakeword.features import cmvn
from wakeword.features.frontend import FrontendConfig
from wakeword.features.store import StreamSet
from wakeword.models.checkpoint import TrainedModel, save
from wakeword.models.config import DsTcnConfig, ModelConfig
from wakeword.models.network import Network, parameter_count, score_stream
from wakeword.runtime_config import RuntimeConfig
from wakeword.training import devices, distributed, loop, mining
from wakeword.training.config import TrainConfig
from wakeword.training.mining import Mined, write_mined
from wakeword.training.objective import training_objective
from wakeword.training.plots import draw_training
from wakeword.training.schedule import automatic_peak
from wakeword.training.watching import Rows, live, write_rows

FEATURES, CMVN, FOUND_LR = Path("data/npy"), Path("data/cmvn.json"), Path("data/reports/find-lr/metrics.json")
MODEL, REPORT, CHECKPOINTS = Path("models/best_model.pt"), Path("data/reports/train"), Path(".cache/checkpoints")
MINED = Path("data/mined.json")
# No outs: they differ from run to run.
SYSTEM, LIVE = Path(".cache/train_system.csv"), Path("dvclive")


class Params(Section):
    phrases: Phrases
    language: Language = "en"
    seed: Seed
    features: FrontendConfig = FrontendConfig()
    model: ModelConfig = DsTcnConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    runtime: RuntimeConfig = RuntimeConfig()


def run() -> None:
    params = load(Params)
    config, seed = params.train, params.seed
    if config.nproc > 1 and not distributed.launched():
        distributed.launch(config.nproc, Path(__file__))
        return
    device = devices.choose(params.runtime.device)
    if distributed.launched():
        distributed.join(device, config.shared_sizes, config.accumulate)
        log.quieten(distributed.rank() > 0)
    devices.make_repeatable(config.threads, seed)

    train = StreamSet.open(FEATURES, "train", params.features.fingerprint, params.runtime.cache_mb, audio=False)
    dev = StreamSet.open(FEATURES, "dev", params.features.fingerprint, audio=False)
    statistics = cmvn.load(CMVN, params.features.fingerprint)
    network = Network(params.model, statistics, params.features.floor, len(params.phrases)).to(device)
    objective = training_objective(config, train, network, params.features, params.phrases, params.language, seed)
    lr = peak_lr(config)
    data = [FEATURES / f"{split}.{kind}" for split in ("train", "dev") for kind in ("json", "features.npy")]
    # What only evaluate reads of its section must not make this another training.
    inert: dict[str, Any] = {"runtime": True, "evaluate": {"target_fah", "report_fah", "max_fah"}}
    fingerprints = {
        "data": hash_files([*data, CMVN]),
        "params": fingerprint(params.model_dump(mode="json", exclude=inert) | {"lr": lr}),
    }
    if objective.teacher:
        fingerprints |= objective.teacher.provenance(fingerprints["data"])
    if "teacher_data" in fingerprints:
        log.warning(
            "a teacher learned from other data, which may hold what is dev or test here and have licences of its own",
            data=fingerprints["teacher_data"],
        )
    log.info("training", parameters=parameter_count(network), lr=f"{lr:.3g}", device=device.type)

    def judge(candidate: Network) -> dict[str, float]:
        scores = [score_stream(candidate, dev.features(stream)).numpy() for stream in dev.streams]
        judged = dev.streams, scores, candidate.frame_shift_ms, params.evaluate
        control = config.fah_control
        return judge_streams(*judged) | (false_alarms_at(control.threshold, *judged) if control is not None else {})

    def mine(candidate: Network) -> list[Mined]:
        shown = log.progress(train.streams, len(train.streams), "training streams searched for false alarms")
        policy = training_policy(config.mining.threshold, params.evaluate)
        return mining.mine(
            shown,
            lambda stream: score_stream(candidate, train.features(stream)).numpy(),
            policy,
            candidate.frame_shift_ms,
            params.evaluate.tolerance_ms,
            config.mining.most,
        )

    checkpoints = CHECKPOINTS / fingerprint([fingerprints, source_fingerprint(), device.type])
    first = distributed.rank() == 0
    with live(LIVE) if params.runtime.live and first else nullcontext() as show:

        def watch(history: Rows, system: Rows) -> None:
            write_rows(SYSTEM, system)
            if show is not None:
                show(history, system)

        trained = loop.train(network, objective, judge, config, lr, seed, checkpoints, mine, watch if first else None)
    distributed.leave()
    if not first:
        return

    model = TrainedModel(trained.network, params.features, params.phrases, params.language, fingerprints)
    with replacing_folder(REPORT) as folder:
        dev_figures = trained.kept_figures
        figures = {
            "best_epoch": trained.best_epoch,
            "dev": dev_figures,
            "parameters": parameter_count(trained.network),
            "peak_lr": lr,
        }
        average = {} if trained.average is None else {"average": asdict(trained.average)}
        write_json(folder / "metrics.json", figures | average)
        write_rows(folder / "epochs.csv", trained.history)
        transcribed = objective.utterances is not None
        draw_training(folder / "epochs.png", trained.history, trained.kept_epochs, transcribed=transcribed)
    write_mined(MINED, trained.mined)
    save(MODEL, model, params.model)
    loop.forget(checkpoints)
    log.info("kept", epochs=trained.kept_epochs, mean_recall=round(dev_figures["mean_recall"], 4), file=MODEL)


def peak_lr(config: TrainConfig) -> float:
    """Return the peak learning rate, where it is "auto" by what find-lr suggests."""
    if config.lr != "auto":
        return config.lr
    try:
        return automatic_peak(float(read_json(FOUND_LR)["suggested"]), config.schedule)
    except (KeyError, TypeError, ValueError) as failure:
        raise UserError(f"{FOUND_LR} suggests no learning rate ({failure}); run `dvc repro find-lr`") from failure


def source_fingerprint() -> str:
    """Identify the code that decides how training goes: this script and every module of ours that it has loaded."""
    modules = [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "wakeword"]
    return hash_files([Path(__file__), *(Path(module.__file__) for module in modules if module.__file__)])


if __name__ == "__main__":
    main("train", run)
