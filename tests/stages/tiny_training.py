"""A project folder in which `stages/train.py` trains in a second: streams of noise, a phrase in every few seconds."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.stages.running import write_params
from wakeword.features import cmvn
from wakeword.features.frontend import FrontendConfig
from wakeword.features.store import Segment, Stream, write

FRONTEND = FrontendConfig()
FRAMES = 2000


def make_features(project: Path) -> None:
    """Fill `project` with what the stages before find-lr leave behind."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("dev", 2)):
        rendered = []
        for number in range(count):
            features = rng.normal(-6.0, 2.0, (FRAMES, FRONTEND.mels))
            segments = []
            for start_s in np.arange(1.0, 18.0, 2.0).tolist():
                phrase = 0 if rng.random() < 0.5 else None
                label = "negative" if phrase is None else "positive"
                segments.append(Segment(start_s, start_s + 0.4, label, label, "g", f"{number}", phrase, True))
                if phrase == 0:
                    features[int(start_s * 100) : int(start_s * 100) + 40, 10:20] += 4.0
            stream = Stream(f"{split}{number}", "clean", 0, FRAMES, segments)
            rendered.append((stream, features.astype(np.float32), np.zeros(0, np.int16)))
        (project / "data/npy").mkdir(parents=True, exist_ok=True)
        streams = write(project / "data/npy", split, rendered, FRONTEND.fingerprint, FRONTEND.mels, 0.0)
        if split == "train":
            cmvn.save(project / "data/cmvn.json", cmvn.accumulate([streams.all_features], FRONTEND.fingerprint))


def make(project: Path, **runtime: Any) -> Path:
    """Fill `project` with all that train reads, and return it. `runtime` is that section of params.yaml."""
    make_features(project)
    write_params(
        project,
        phrases=["hey computer"],
        seed=1,
        model={"name": "ds_tcn", "channels": 8, "dilations": [1, 2], "stacks": 2},
        train={
            "lr": 0.01,
            "epochs": 3,
            "steps_per_epoch": 6,
            "threads": 1,
            "ema_decay": 0.9,
            "batches": {"size": 8, "window_s": 1.6},
            "mining": {"every": 1, "threshold": 0.3},
        },
        runtime={"device": "cpu", **runtime},
    )
    return project
