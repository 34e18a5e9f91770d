import errno
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sounds import RATE, tone, word, write
from wakeword.base.errors import UserError
from wakeword.base.npy import ArrayWriter
from wakeword.corpus.manifest import Clip, content_hash
from wakeword.corpus.shards import Corpus
from wakeword.sources import health, pronunciation
from wakeword.sources import ingest as module
from wakeword.sources.config import FolderConfig, IngestConfig
from wakeword.sources.ingest import ingest
from wakeword.workers import Crash

PHRASES = ["hey computer"]


def in_this_process(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int, timeout_s: float = 600.0, ahead: int = 8
) -> Iterator[Any]:
    """Stands in for `ordered_map`, without the second that a worker process takes to start."""
    yield from map(function, items)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without processes and plots, which the tests of the stage and of the report have."""
    monkeypatch.setattr(module, "ordered_map", in_this_process)
    monkeypatch.setattr(pronunciation, "ordered_map", in_this_process)
    monkeypatch.setattr(health, "_plot", lambda path, _: path.touch())


def run(
    tmp_path: Path, *folders: FolderConfig, phrases: list[str] = PHRASES
) -> tuple[dict[str, Clip], dict[str, Any], Corpus]:
    """Ingest `<tmp_path>/raw`; return the clips by path, the metrics and the corpus."""
    config = IngestConfig(root=str(tmp_path / "raw"), folders=list(folders) or [FolderConfig(path=".")])
    ingest(config, phrases, "en", 1, 1, tmp_path / "corpus", tmp_path / "report")
    corpus = Corpus.open(tmp_path / "corpus")
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    return {clip.origin.path: clip for clip in corpus.clips}, metrics, corpus


def refusal(tmp_path: Path, *folders: FolderConfig, phrases: list[str] = PHRASES) -> str:
    with pytest.raises(UserError) as caught:
        run(tmp_path, *folders, phrases=phrases)
    assert not (tmp_path / "corpus").exists()
    assert not (tmp_path / "report").exists()
    assert not list(tmp_path.glob(".*"))
    return str(caught.value)


def positives(tmp_path: Path, count: int, at: str = "raw/positive") -> None:
    for number in range(count):
        write(tmp_path / at / f"speaker=s{number}" / "a.wav", word(0.75, number))


def test_recordings_become_a_corpus_and_a_report(tmp_path: Path) -> None:
    positives(tmp_path, 3)
    write(tmp_path / "raw/negative/n.flac", np.stack([tone(2.0, 48_000)] * 2, axis=1), 48_000)
    write(tmp_path / "raw/background/b.wav", word(1.0, 9))
    write(tmp_path / "raw/rirs/r.wav", np.concatenate([np.zeros(100), [0.1], np.zeros(500)]))
    clips, metrics, corpus = run(tmp_path)
    assert len(clips) == 6
    assert len(corpus.audio(clips["negative/n.flac"])) == 2 * RATE
    for clip in clips.values():
        assert clip.id == content_hash(corpus.audio(clip))
    assert metrics["label"]["positive"]["clips"] == metrics["label"]["positive"]["groups"] == 3
    assert metrics["label"]["negative"]["hours"] == pytest.approx(2 / 3600, rel=1e-5)
    assert metrics["label"]["negative"]["rms_dbfs"]["p50"] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert metrics["origin_rate"] == {"16000": 5, "48000": 1}
    assert metrics["phrase"]["hey computer"]["groups"] == 3
    assert metrics["rejected"] == []
    assert any("unknown who speaks in 1 of 4" in warning for warning in metrics["warnings"])


def test_every_rejected_file_is_listed_with_its_reason(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    positives(tmp_path, 2)
    write(raw / "positive/long.wav", word(10.5, 1))
    write(raw / "positive/short.wav", word(0.15, 1))
    write(raw / "positive/faint.wav", 0.0005 * word(1.0, 1))
    write(raw / "positive/nan \"quoted\" 'é'.wav", np.full(RATE, np.nan), subtype="FLOAT")
    write(raw / "negative/short.wav", word(0.05, 1))
    write(raw / "negative/silent.wav", np.zeros(RATE))
    write(raw / "negative/no samples.wav", np.zeros(0))
    write(raw / "background/silent for long.wav", np.zeros(61 * RATE))
    write(raw / "rirs/silent.wav", np.zeros(RATE))
    (raw / "negative/text.wav").write_text("hello")
    truncated = write(raw / "negative/truncated.flac", word(3.0, 2))
    truncated.write_bytes(truncated.read_bytes()[:20_000])
    clips, metrics, _ = run(tmp_path)
    assert len(clips) == 2
    reasons = {item["path"]: item["reason"] for item in metrics["rejected"]}
    assert metrics["rejected_count"] == len(reasons) == 11
    for path, reason in {
        "positive/long.wav": "longer than 10 s",
        "positive/short.wav": "0.150 s long",
        "positive/faint.wav": "peak is -7",
        "positive/nan \"quoted\" 'é'.wav": "NaN",
        "negative/short.wav": "0.050 s long",
        "negative/silent.wav": "digital silence",
        "negative/no samples.wav": "no samples",
        "background/silent for long.wav": "digital silence",
        "rirs/silent.wav": "silent",
        "negative/text.wav": "as audio",
        "negative/truncated.flac": "truncated",
    }.items():
        assert reason in reasons[path]


def test_exact_duplicates_are_left_out_and_listed(tmp_path: Path) -> None:
    positives(tmp_path, 2)
    pcm = (word(1.0, 5) * 32767).astype(np.int16)
    write(tmp_path / "raw/negative/b.wav", pcm)
    write(tmp_path / "raw/negative/a.flac", pcm)
    write(tmp_path / "raw/negative/c.wav", pcm[1:])
    clips, metrics, _ = run(tmp_path)
    assert sorted(path for path in clips if path.startswith("neg")) == ["negative/a.flac", "negative/c.wav"]
    assert metrics["duplicates"] == [{"path": "negative/b.wav", "repeats": "negative/a.flac"}]


def test_one_content_under_two_labels_is_an_error_naming_both(tmp_path: Path) -> None:
    positives(tmp_path, 2)
    write(tmp_path / "raw/negative/wrong.wav", word(0.75, 1))
    message = refusal(tmp_path)
    assert "positive/speaker=s1/a.wav (positive hey computer) and negative/wrong.wav (negative)" in message


def test_a_file_that_two_entries_lead_to_is_an_error_naming_both(tmp_path: Path) -> None:
    """It once followed the first of them; longer than 30 s it ended the run, with two workers."""
    positives(tmp_path, 2)
    write(tmp_path / "raw/negative/podcasts/a.wav", word(1.0, 5))
    podcasts = FolderConfig(path="negative/podcasts", label="negative", source="radio", licence="CC0-1.0")
    message = refusal(tmp_path, FolderConfig(path="."), podcasts)
    assert "negative/podcasts/a.wav is read twice" in message and "source 'radio', licence CC0-1.0" in message


def test_a_long_recording_becomes_pieces_of_one_group(tmp_path: Path) -> None:
    positives(tmp_path, 2)
    samples = (word(70.0, 3) * 32767).astype(np.int16)
    samples[: 24 * RATE] = 0
    write(tmp_path / "raw/background/café.wav", samples)
    _, metrics, corpus = run(tmp_path)
    noise = sorted((clip for clip in corpus.clips if clip.origin.label == "noise"), key=lambda clip: clip.offset)
    assert [clip.origin.group for clip in noise] == ["background/café.wav"] * 2
    total = np.concatenate([corpus.audio(clip) for clip in noise])
    np.testing.assert_array_equal(total, samples[len(samples) // 3 :])
    assert metrics["rejected"] == [{"path": "background/café.wav", "reason": "1 of its 3 pieces are digital silence"}]
    assert not (corpus.folder / "scratch").exists()


def test_without_a_positive_clip_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    assert "no positive clip of 'hey computer'" in refusal(tmp_path)
    write(tmp_path / "raw/positive/silent.wav", np.zeros(RATE))
    message = refusal(tmp_path)
    assert "1 files or utterances were rejected" in message
    assert "ingest.synthesis" in message


def test_each_phrase_needs_a_positive_clip(tmp_path: Path) -> None:
    write(tmp_path / "raw/positive/phrase=stop it/a.wav", word(1.0, 1))
    assert "no positive clip of 'hey computer'" in refusal(tmp_path, phrases=["stop it", "hey computer"])


def test_one_positive_clip_goes_on_with_a_warning(tmp_path: Path) -> None:
    positives(tmp_path, 1)
    clips, metrics, _ = run(tmp_path)
    assert len(clips) == 1
    assert any("only 1 positive clip of 'hey computer'; record" in warning for warning in metrics["warnings"])
    assert any("no negative clip" in warning for warning in metrics["warnings"])


def test_a_crash_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crashing(function: Callable[[Any], Any], items: Iterable[Any], workers: int, ahead: int = 8) -> Iterator[Any]:
        for item in items:
            crashes = "s1" in item.origin.path
            yield Crash(item, "the worker process died (SIGSEGV)") if crashes else function(item)

    monkeypatch.setattr(module, "ordered_map", crashing)
    positives(tmp_path, 3)
    clips, metrics, _ = run(tmp_path)
    assert len(clips) == 2
    [rejected] = metrics["rejected"]
    assert rejected["path"] == "positive/speaker=s1/a.wav"
    assert "SIGSEGV" in rejected["reason"]


def test_a_full_disk_leaves_the_old_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    positives(tmp_path, 2)
    run(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "corpus").iterdir()}

    def full(self: ArrayWriter, rows: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ArrayWriter, "append", full)
    with pytest.raises(UserError, match=r"corpus: No space left on device; free some space"):
        run(tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "corpus").iterdir()} == before
    assert not list(tmp_path.glob(".*"))


def test_positives_of_another_source_than_all_negatives_are_told(tmp_path: Path) -> None:
    positives(tmp_path, 2)
    write(tmp_path / "raw/other/n.wav", word(1.0, 7))
    own = FolderConfig(path="positive", label="positive", source="own")
    _, metrics, _ = run(tmp_path, own, FolderConfig(path="other", label="negative", source="radio"))
    assert any("(own) and recorded negatives (radio)" in warning for warning in metrics["warnings"])
    _, metrics, _ = run(tmp_path, own, FolderConfig(path="other", label="negative", source="own"))
    assert not any("different sources" in warning for warning in metrics["warnings"])


def test_what_is_said_is_written_as_phonemes_where_text_and_language_are_known(tmp_path: Path) -> None:
    positives(tmp_path, 1)
    texts = {"a.wav": ("snow boy", "en"), "b.wav": ("Sonne", "de"), "c.wav": ("snow", ""), "d.wav": ("", "en")}
    for number, name in enumerate(texts):
        write(tmp_path / "raw" / "said" / name, word(1.0, 20 + number))
    rows = [f"{name},s,{text},{language}" for name, (text, language) in texts.items()]
    (tmp_path / "raw" / "said" / "metadata.csv").write_text("\n".join(["path,speaker,text,language", *rows]))
    write(tmp_path / "raw" / "long" / "e.wav", np.concatenate([word(1.0, 30 + number) for number in range(70)]))
    (tmp_path / "raw" / "long" / "metadata.csv").write_text("path,speaker,text,language\ne.wav,s,snow boy,en")
    folders = [FolderConfig(path="positive", label="positive"), FolderConfig(path="said", label="negative")]
    clips, _, corpus = run(tmp_path, *folders, FolderConfig(path="long", label="negative"))
    spoken = {path: clip.origin.phonemes for path, clip in clips.items()}
    # The phrase is in the language of the phrases; a piece of what is cut says only a part of the text.
    assert spoken == {
        "positive/speaker=s0/a.wav": "h eɪ k ə m p j u t ə",
        "said/a.wav": "s n əʊ b ɔɪ",
        "said/b.wav": "z ɔ n ə",
        "said/c.wav": None,
        "said/d.wav": None,
        "long/e.wav": None,
    }
    pieces = [clip for clip in corpus.clips if clip.origin.path == "long/e.wav"]
    assert len(pieces) > 1 and not any(clip.origin.phonemes for clip in pieces)
