"""The stages between split and training: streams hold the clips of their own split, and CMVN is of train."""

import json
from pathlib import Path

import numpy as np
import pytest
from stages import compute_cmvn, featurize

from tests.stages.running import write_params
from tests.streams.test_assembly import recording
from wakeword.corpus.shards import ShardWriter
from wakeword.corpus.splits import SPLITS, write_splits
from wakeword.features.store import StreamSet


def test_each_splits_streams_hold_its_own_clips_and_cmvn_is_of_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(featurize, "write_samples", lambda *_: None)  # the listening sheet takes longer than the rest
    hours = {f"{name}_hours": 0.02 for name in SPLITS}
    write_params(tmp_path, phrases=["hey"], seed=1, streams=hours, runtime={"workers": 1})
    Path("data/corpus").mkdir(parents=True)
    with ShardWriter(Path("data/corpus")) as writer:
        for number in range(18):
            said = number % 2 == 1
            writer.add(recording("positive" if said else "negative", number, 1.0, "hey" if said else None))
    dealt = {name: sorted(clip.id for clip in writer.clips[place::3]) for place, name in enumerate(SPLITS)}
    write_splits(Path("data/splits"), dealt)

    featurize.run()
    for name in SPLITS:
        heard = {seg.clip for stream in StreamSet.open(Path("data/npy"), name).streams for seg in stream.segments}
        assert heard and heard <= set(dealt[name])

    compute_cmvn.run()
    stored = json.loads(Path("data/cmvn.json").read_text())
    train = StreamSet.open(Path("data/npy"), "train").all_features.astype(float)
    assert stored["frames"] == len(train)
    np.testing.assert_allclose(np.array(stored["mean"], float), train.mean(axis=0), rtol=1e-6)
