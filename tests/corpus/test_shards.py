import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.corpus.clips import clip
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Recording, content_hash, interned
from wakeword.corpus.shards import SHARD_SAMPLES, Corpus, ShardWriter


def recording(number: int, samples: int) -> Recording:
    pcm = np.random.default_rng(number).integers(-32768, 32768, samples).astype(np.int16)
    return Recording(clip(number).origin, pcm, 44_100, (min(3, samples), samples))


def filled(folder: Path, recordings: list[Recording], shard_samples: int = 1000) -> Corpus:
    folder.mkdir()
    with ShardWriter(folder, shard_samples) as writer:
        for item in recordings:
            writer.add(item)
    return Corpus.open(folder)


def test_audio_comes_back_from_whichever_shard_it_lies_in(tmp_path: Path) -> None:
    recordings = [recording(number, samples) for number, samples in enumerate([400, 600, 1, 999, 1000, 7])]
    corpus = filled(tmp_path / "corpus", recordings)
    by_id = {clip.id: clip for clip in corpus.clips}
    assert list(by_id) == sorted(by_id)
    for item in recordings:
        found = by_id[content_hash(item.pcm)]
        assert (found.origin, found.origin_rate, found.samples) == (item.origin, 44_100, len(item.pcm))
        assert (found.active_start, found.active_end) == item.active
        np.testing.assert_array_equal(corpus.audio(found), item.pcm)
    assert sorted(path.name for path in corpus.folder.iterdir()) == [
        "manifest.jsonl",
        "shard-000.npy",
        "shard-001.npy",
        "shard-002.npy",
        "shard-003.npy",
    ]
    first = np.load(corpus.folder / "shard-000.npy")
    np.testing.assert_array_equal(first, np.concatenate([recordings[0].pcm, recordings[1].pcm]))


def test_a_full_shard_is_at_most_256_mb(tmp_path: Path) -> None:
    filled(tmp_path / "corpus", [recording(0, 1000)])
    header = (tmp_path / "corpus" / "shard-000.npy").stat().st_size - 2000
    assert header + 2 * SHARD_SAMPLES <= 256_000_000


def test_the_same_recordings_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        filled(tmp_path / name, [recording(number, 300 + number) for number in range(9)])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_corpus_travels_to_another_process_without_its_audio(tmp_path: Path) -> None:
    corpus = filled(tmp_path / "corpus", [recording(0, 900)])
    expected = np.array(corpus.audio(corpus.clips[0]))
    travelled = pickle.dumps(corpus)
    assert len(travelled) < 1500
    np.testing.assert_array_equal(pickle.loads(travelled).audio(corpus.clips[0]), expected)


def test_writing_needs_no_memory_for_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    item = recording(0, 160_000)
    tracemalloc.start()
    try:
        with ShardWriter(tmp_path / "corpus", 2_000_000) as writer:
            for _ in range(100):
                writer.add(item)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3e6  # of 32 MB written


def test_a_failing_block_writes_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ShardWriter(tmp_path) as writer:
        writer.add(recording(0, 100))
        raise ZeroDivisionError
    assert not (tmp_path / "manifest.jsonl").exists()


def test_what_is_missing_or_cut_short_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest.jsonl is missing; run the ingest stage"):
        Corpus.open(tmp_path / "nowhere")
    corpus = filled(tmp_path / "corpus", [recording(0, 500), recording(1, 500)])
    np.save(tmp_path / "corpus" / "shard-000.npy", np.zeros(10, np.int16))
    with pytest.raises(UserError, match=r"shard-000.npy ends before clip .*; run the ingest stage again"):
        corpus.audio(corpus.clips[0])
    (tmp_path / "corpus" / "shard-000.npy").unlink()
    with pytest.raises(UserError, match=r"cannot read .*shard-000.npy"):
        Corpus.open(tmp_path / "corpus").audio(corpus.clips[0])


def test_a_recording_longer_than_a_shard_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"), ShardWriter(tmp_path, 10) as writer:
        writer.add(recording(0, 11))


def test_interned_origins_are_equal_and_share_their_strings() -> None:
    one, other = (
        interned(pickle.loads(pickle.dumps(replace(clip(n).origin, group="a b", synthesis={"voice": "e v"}))))
        for n in (1, 1)
    )
    assert one == other == replace(clip(1).origin, group="a b", synthesis={"voice": "e v"})
    assert one.group is other.group and one.source is other.source
    assert one.synthesis and other.synthesis and one.synthesis["voice"] is other.synthesis["voice"]
