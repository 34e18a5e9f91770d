"""Publish what the stages reported where git and `dvc metrics` see it: `metrics/` and `plots/`.

The expensive stages keep their reports among their cached outs, so that DVC's run-cache can bring them back; an out
that git tracks would switch the run-cache off for its stage. This cheap step copies them. The outcomes of evaluate go
beside its metrics, for `wakeword.evaluation.compare` to find in any revision; pictures have a folder of their own,
which `dvc plots` shows whole, for with every phrase there are more of them.
"""

import shutil
from pathlib import Path

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import replacing_folder
from wakeword.base.stage import main

REPORTS, METRICS, PLOTS = Path("data/reports"), Path("metrics"), Path("plots")
PICTURES = "pictures"
OUTCOMES = "outcomes.csv"
AUGMENTATION = Path("data/samples/augmentation.png")
STAGES = ("ingest", "split", "featurize", "find-lr", "train", "evaluate", "export")


def run() -> None:
    for stage in STAGES:
        if not (REPORTS / stage / "metrics.json").exists():
            raise UserError(f"{REPORTS / stage / 'metrics.json'} is missing; run `dvc repro {stage}` first")
    if not AUGMENTATION.exists():
        raise UserError(f"{AUGMENTATION} is missing; run `dvc repro featurize` first")
    with replacing_folder(METRICS) as metrics, replacing_folder(PLOTS) as plots:
        (plots / PICTURES).mkdir()
        for stage in log.progress(STAGES, len(STAGES), "reports"):
            name = stage.replace("-", "_")
            for source in sorted((REPORTS / stage).iterdir()):
                if source.name == "metrics.json":
                    shutil.copyfile(source, metrics / f"{name}.json")
                elif source.name == OUTCOMES:
                    shutil.copyfile(source, metrics / f"{name}_{OUTCOMES}")
                else:
                    folder = plots / PICTURES if source.suffix == ".png" else plots
                    shutil.copyfile(source, folder / f"{name}_{source.name}")
        shutil.copyfile(AUGMENTATION, plots / AUGMENTATION.name)
    log.info("published", metrics=METRICS, plots=PLOTS)


if __name__ == "__main__":
    main("report", run)
