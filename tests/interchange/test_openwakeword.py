import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from benchmarks.peers import PEERS_PYTHON
from benchmarks.peers_accuracy import listened
from tools import openwakeword
from tools.openwakeword import Heard, Params, centred, examples, moved_scores, package_models, windows

from tests.export.networks import noise
from wakeword.base.errors import UserError
from wakeword.features.store import Segment, Stream, StreamSet, write
from wakeword.interchange.openwakeword import BANDS, CHUNK, FRAMES, WARM_UP, Head, embeddings, head_file, score


def head(seed: int = 0) -> Head:
    """Return a head of which nothing is as it was initialised."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    made = Head(rng.normal(0, 5, BANDS), rng.uniform(2, 15, BANDS)).eval()
    torch.nn.init.normal_(made.narrow.bias)
    torch.nn.init.normal_(made.score.weight)
    return made


def heard(chunks: int = 40) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 10, (chunks, BANDS)).astype(np.float32)


def test_the_file_scores_as_the_head_does() -> None:
    session = onnxruntime.InferenceSession(head_file(head()), providers=["CPUExecutionProvider"])
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (given.shape, answer.shape) == ([1, FRAMES, BANDS], [1, 1])
    found, expected = heard(), score(head(), heard())
    assert np.ptp(expected[FRAMES:]) > 0.3 and not expected[: FRAMES - 1].any()
    for end in range(FRAMES, len(found) + 1):
        (theirs,) = session.run(None, {given.name: found[None, end - FRAMES : end]})
        assert theirs[0, 0] == pytest.approx(expected[end - 1], abs=1e-5)


def test_the_same_head_gives_the_same_bytes() -> None:
    assert head_file(head()) == head_file(head()) != head_file(head(seed=1))


def test_a_short_recording_has_no_score() -> None:
    assert not score(head(), heard(FRAMES - 1)).any()


def test_their_package_runs_the_file_on_sound_as_we_do(tmp_path: Path) -> None:
    if not PEERS_PYTHON.exists():
        pytest.skip("the peers are not installed here; `make .cache/peers/installed` does it")
    pcm = noise(6.0, amplitude=3000.0)
    found = embeddings(package_models(), pcm)
    assert found.shape == (len(pcm) // CHUNK, BANDS)
    made = head()
    (tmp_path / "hey_you.onnx").write_bytes(head_file(made))
    np.save(tmp_path / "audio.npy", pcm)
    asked = {"model": str(tmp_path / "hey_you.onnx"), "audio": str(tmp_path / "audio.npy"), "spans": [(0, len(pcm))]}
    (theirs,) = listened(what="streams", engine="openwakeword", phrase="hey you", sensitivity=0.0, **asked)
    ours = score(made, found)
    assert np.ptp(ours[WARM_UP:]) > 0.05
    np.testing.assert_allclose(theirs[WARM_UP:], ours[WARM_UP:], atol=1e-4)


def test_missing_networks_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"melspectrogram\.onnx is missing; `make .*installed`"):
        embeddings(tmp_path, noise(0.5))


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as on a disk that is nearly full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_embeddings_are_kept_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [Stream(name, "clean", 0, 3000, []) for name in ("one", "two")]
    write(tmp_path, "dev", [(one, np.zeros((3000, 4)), np.zeros(0, np.int16)) for one in streams], "none", 4, 0.0)
    found = {name: np.random.default_rng(1).normal(0, 10, (375, BANDS)) for name in ("one", "two")}

    def judged(*_: Any) -> Iterator[tuple[Stream, np.ndarray]]:
        """Yield what their networks, which are not installed everywhere, might make of the streams."""
        yield from ((one, found[one.name]) for one in StreamSet.open(tmp_path, "dev").streams)

    monkeypatch.setattr(openwakeword, "FEATURES", tmp_path)
    monkeypatch.setattr(openwakeword, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(openwakeword, "judged_streams", judged)
    params = Params(phrases=["hey you"], seed=1)
    with files_end_at(100_000), pytest.raises(UserError, match=r"cannot write .*\.npz.*`ulimit -f`"):
        openwakeword.heard(params, tmp_path, "dev")
    assert list((tmp_path / "cache").iterdir()) == []
    for _ in range(2):  # made, and read
        given = openwakeword.heard(params, tmp_path, "dev")
        assert [one.name for one in given.streams] == ["one", "two"]
        for one, stored in zip(given.streams, given.embeddings, strict=True):
            np.testing.assert_array_equal(stored, found[one.name].astype(np.float16))


def test_what_a_head_learns_from() -> None:
    keyword = Segment(4.0, 5.0, "positive", "phrase", "somebody", "a clip", 0, False)
    streams = [Stream(name, "clean", 0, 1000, [keyword] if name == "first" else []) for name in ("first", "second")]
    chunks = 1000 * 160 // CHUNK
    given = examples(Heard(streams, [np.zeros((chunks, BANDS), np.float16)] * 2), 0)
    # A score of row n is known at (n + 1) * 80 ms.
    assert given.positive.tolist() == [row for row in range(chunks) if 4.95 <= (row + 1) * 0.08 <= 5.3]
    negative = set(given.negative.tolist())
    assert negative == {
        row + start
        for start in (0, chunks)
        for row in range(WARM_UP, chunks)
        if start or not 4.0 <= (row + 1) * 0.08 <= 5.5
    }


def test_streams_without_the_phrase_teach_nothing() -> None:
    streams = [Stream("only", "clean", 0, 1000, [])]
    with pytest.raises(UserError, match=r"hold no phrase.*lengthen streams\.train_hours"):
        examples(Heard(streams, [np.zeros((125, BANDS), np.float16)]), 0)


def test_windows_end_where_they_are_asked_to() -> None:
    rows = torch.arange(50.0)[:, None].expand(50, BANDS)
    found = windows(rows, np.array([FRAMES - 1, 40]))
    assert found.shape == (2, FRAMES, BANDS)
    assert found[:, 0, 0].tolist() == [0.0, 40.0 - FRAMES + 1] and found[:, -1, 0].tolist() == [FRAMES - 1, 40.0]


def test_the_chosen_threshold_becomes_a_half() -> None:
    made, found = head(), heard(200)
    before = score(made, found)[FRAMES:]
    threshold = float(np.quantile(before, 0.9))
    after = score(centred(made, threshold), found)[FRAMES:]
    sure = np.abs(before - threshold) > 1e-4
    np.testing.assert_array_equal((after >= 0.5)[sure], (before >= threshold)[sure])
    np.testing.assert_allclose(moved_scores(before, threshold), after, atol=1e-4)
    assert moved_scores(np.array([0.0, 1.0]), 0.9).tolist() == [0.0, 1.0]
