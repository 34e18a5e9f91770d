"""Streams scored from their file, in blocks and by any number of workers, are scored as they are as a whole."""

from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.made_up import with_audio
from tests.export.networks import noise, trained
from wakeword.base.errors import UserError
from wakeword.evaluation import scoring
from wakeword.evaluation.scoring import score_audio, score_streams
from wakeword.export.graph import build
from wakeword.features.store import Stream, StreamSet
from wakeword.runtime.scorer import Scorer


@pytest.fixture(scope="module")
def graph() -> bytes:
    return build(trained(phrases=2))


def streams(folder: Path) -> StreamSet:
    lengths = (1000, 7000, 30)
    firsts = (0, 1000, 8000)
    described = [Stream(f"s{i}", "clean", firsts[i], lengths[i], []) for i in range(3)]
    return with_audio(folder, described, noise(80.3))


@pytest.mark.parametrize("count", [1, 2])
def test_blocks_and_workers_change_nothing(graph: bytes, tmp_path: Path, count: int) -> None:
    made = streams(tmp_path)
    whole = [Scorer(graph).score(np.array(made.audio(stream))) for stream in made.streams]
    found = list(score_streams(graph, made, count))
    alone = list(score_audio(graph, (np.array(made.audio(stream)) for stream in made.streams), count))
    assert len(made.audio(made.streams[1])) > scoring._BLOCK  # more than one block
    for expected, scores, other in zip(whole, found, alone, strict=True):
        assert np.array_equal(scores, expected) and np.array_equal(other, expected)


def test_audio_that_was_not_kept_is_an_error_that_names_the_stream(graph: bytes, tmp_path: Path) -> None:
    short = with_audio(tmp_path, [Stream("long one", "clean", 0, 1000, [])], np.zeros(1600, dtype=np.int16))
    with pytest.raises(UserError, match="ends before stream long one"):
        list(score_streams(graph, short, 1))
