"""The preset speech_commands_12, shrunk, from a tree that looks like the corpus to how its words are told apart."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from stages import compute_cmvn, evaluate, featurize, ingest, split, train
from tools import preset

from tests.sounds import RATE, write
from tests.stages.running import ROOT
from wakeword.corpus.shards import Corpus
from wakeword.corpus.splits import read_splits
from wakeword.evaluation.which_phrase import KEY
from wakeword.models.checkpoint import load as load_model

PHRASES = ["yes", "no"]
PITCHES = {"yes": (300, 900), "no": (900, 300), "up": (2500, 2500), "sheila": (200, 200)}
SPEAKERS = {"training": 8, "validation": 4, "testing": 5}
NOISES = ("doing_the_dishes", "dude_miaowing", "exercise_bike", "pink_noise", "running_tap", "white_noise")


def say(word: str, rng: np.random.Generator) -> np.ndarray:
    """Return a second with a sweep of 0.4 s, `(RATE,)` float64, whose two ends tell the word."""
    pitch = np.geomspace(*PITCHES[word], round(0.4 * RATE)) * rng.uniform(0.9, 1.1)
    sound = 0.001 * rng.standard_normal(RATE)
    start = int(rng.integers(2000, 7000))
    sound[start : start + len(pitch)] += rng.uniform(0.1, 0.4) * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    return sound


def look_alike(top: Path) -> None:
    """Make a tree such as the archive unpacks to: every speaker says every word once."""
    rng = np.random.default_rng(0)
    listed: dict[str, list[str]] = {part: [] for part in SPEAKERS}
    for part, count in SPEAKERS.items():
        for number in range(count):
            for word in PITCHES:
                name = f"{word}/{part[:2]}{number:06x}_nohash_0.wav"
                write(top / name, say(word, rng))
                listed[part].append(name)
    for number, noise in enumerate(NOISES):
        write(top / "_background_noise_" / f"{noise}.wav", 0.02 * (number + 1) * rng.standard_normal(3 * RATE))
    for part in ("validation", "testing"):
        (top / f"{part}_list.txt").write_text("".join(f"{name}\n" for name in listed[part]))


def shrunk() -> dict[str, Any]:
    """Return the preset's parameters, with fewer words, a smaller network and a training of seconds."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    preset.merge(params, yaml.safe_load((ROOT / "presets/speech_commands_12.yaml").read_text()))
    assert set(PHRASES) < set(params["phrases"])
    params["phrases"] = PHRASES
    params["ingest"] |= {"root": "raw", "corpora": [{"name": "speech_commands", "path": "speech_commands_v0.02"}]}
    params["streams"] |= {"train_hours": 0.1, "dev_hours": 0.05, "test_hours": 0.05, "keywords_per_hour": 480.0}
    params["model"] |= {"tau": 1}
    params["train"] |= {"epochs": 2, "steps_per_epoch": 80, "threads": 1, "warmup_share": 0.2, "ema_decay": 0.8}
    params["train"]["batches"] |= {"size": 16}
    params["runtime"] |= {"workers": 1, "device": "cpu"}
    return params


@pytest.mark.usefixtures("torch_as_it_was")
def test_from_a_look_alike_of_the_corpus_to_its_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_alike(tmp_path / "raw/speech_commands_v0.02")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(shrunk(), sort_keys=False))  # the order of pins counts
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["evaluate.py"])
    for stage in (ingest, split, featurize, compute_cmvn, train, evaluate):
        stage.run()

    # Who is listed for testing and validation is in test and dev, with one background recording each.
    clips = {clip.id: clip.origin for clip in Corpus.open(Path("data/corpus")).clips}
    for name, part, noises in (("train", "training", 4), ("dev", "validation", 1), ("test", "testing", 1)):
        origins = [clips[identity] for identity in read_splits(Path("data/splits"))[name]]
        spoken = [origin for origin in origins if origin.label != "noise"]
        assert {origin.group.split("/")[1] for origin in spoken} == {part}
        assert len(spoken) == SPEAKERS[part] * len(PITCHES) and len(origins) - len(spoken) == noises
    assert load_model(Path("models/best_model.pt")).network.body.head.out_channels == len(PHRASES)

    report = json.loads(Path("data/reports/evaluate/metrics.json").read_text())
    assert set(report) == {*PHRASES, KEY}
    which = report[KEY]
    assert {phrase: row["clips"] for phrase, row in which["phrases"].items()} == dict.fromkeys(PHRASES, 5)
    # Of ten clips of other words as many as of each phrase, and the three seconds of the test's noise.
    assert {kind: row["clips"] for kind, row in which["others"].items()} == {"speech": 5, "noise": 3}
    assert (which["clips"], which["dev"]["clips"]) == (5 + 5 + 5 + 3, 4 + 4 + 4 + 3)
    rows = [*which["phrases"].values(), *which["others"].values()]
    assert which["right"] == sum(row["right"] for row in rows)
    wrong = sum(sum(row["taken_for"].values()) for row in rows)
    assert wrong <= which["clips"] - which["right"]  # the others are taken for none
    assert which["accuracy"] > 0.6  # 5 of 18 by always giving one phrase, 8 by never giving any
