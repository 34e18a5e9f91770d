import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sounds import RATE, tone, word, write
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Label, Origin, Recording, Rejection
from wakeword.sources.config import Columns, FolderConfig, IngestConfig
from wakeword.sources.folder import AudioFile, Found, LongRecording, decode_file, find, pieces

ONE = ["hey computer"]
TWO = ["hey computer", "stop it"]


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def look(root: Path, *folders: FolderConfig, phrases: list[str] = ONE) -> Found:
    config = IngestConfig(root=str(root), folders=list(folders) or [FolderConfig(path=".")])
    return find(config, phrases)


def origins(found: Found) -> dict[str, Origin]:
    return {file.origin.path: file.origin for file in found.files}


def refusal(root: Path, *folders: FolderConfig, phrases: list[str] = ONE) -> str:
    with pytest.raises(UserError) as caught:
        look(root, *folders, phrases=phrases)
    return str(caught.value)


def test_the_layout_gives_labels_at_any_depth(tmp_path: Path) -> None:
    touch(tmp_path, "positive/a.wav", "positive/x/y/b.FLAC", "negative/c.mp3", "hard_negative/d.wav")
    touch(tmp_path, "background/e.ogg", "rirs/hall/f.wav")
    found = origins(look(tmp_path))
    assert {path: origin.label for path, origin in found.items()} == {
        "positive/a.wav": "positive",
        "positive/x/y/b.FLAC": "positive",
        "negative/c.mp3": "negative",
        "hard_negative/d.wav": "hard_negative",
        "background/e.ogg": "noise",
        "rirs/hall/f.wav": "rir",
    }
    assert found["positive/a.wav"].phrase == found["positive/a.wav"].text == "hey computer"
    assert found["negative/c.mp3"].phrase is None
    assert len({origin.group for origin in found.values()}) == 6
    assert [origin.group_known for origin in found.values()] == [False, False, False, False, True, True]


def test_hidden_files_and_notes_are_no_audio(tmp_path: Path) -> None:
    touch(tmp_path, "positive/a.wav", "positive/.a.wav", "positive/.git/b.wav", "positive/._c.wav")
    touch(tmp_path, *(f"positive/note.{suffix}" for suffix in ("txt", "md", "csv.json", "yaml", "JSON")))
    touch(tmp_path, "positive/unknown.xyz", "positive/no suffix")
    assert sorted(origins(look(tmp_path))) == ["positive/a.wav", "positive/no suffix", "positive/unknown.xyz"]


def test_the_default_folder_may_be_missing_or_empty(tmp_path: Path) -> None:
    assert look(tmp_path / "nowhere").files == []
    touch(tmp_path, "README.md")
    assert look(tmp_path) == Found()


@pytest.mark.parametrize("label", ["positive", "noise", None])
def test_a_named_folder_that_is_missing_empty_or_a_file_is_an_error(tmp_path: Path, label: Label | None) -> None:
    touch(tmp_path, "file.wav", "empty/notes.txt")
    assert "nowhere is missing" in refusal(tmp_path, FolderConfig(path="nowhere", label=label))
    assert "empty holds no audio file" in refusal(tmp_path, FolderConfig(path="empty", label=label))
    message = refusal(tmp_path, FolderConfig(path="."), FolderConfig(path="file.wav", label=label))
    assert "file.wav is a file, not a folder" in message
    assert "ingest.folders.1.path" in message


def test_a_file_where_the_layout_has_a_folder_or_as_the_root_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "positive")
    assert "positive is a file, not a folder" in refusal(tmp_path)
    assert "ingest.root" in refusal(tmp_path / "positive")


def test_a_misspelt_subfolder_and_loose_files_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "positive/a.wav", "negatives/b.wav", "loose.wav", "other/kept/c.wav", "list.csv", ".hidden")
    found = look(tmp_path, FolderConfig(path="."), FolderConfig(path="other/kept", label="noise"))
    [warning] = found.warnings
    assert "loose.wav, negatives" in warning
    assert "other" not in warning.replace("another", "")


def test_speakers_come_from_path_then_metadata_then_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "negative/speaker=anna/a.wav", "negative/speaker=anna/deep/b.wav", "negative/c.wav")
    touch(tmp_path, "negative/d.wav", "negative/1-77-A.wav", "negative/speaker=/e.wav")
    (tmp_path / "metadata.csv").write_text(
        "path,speaker,text,licence,ignored\n"
        "negative/speaker=anna/a.wav,bert,,,\n"
        "negative/c.wav,bert,good morning,CC0-1.0,x\n"
        "negative/d.wav,,,\n"
    )
    found = origins(look(tmp_path, FolderConfig(path=".", group_pattern=r"/\d-(\d+)-", licence="own", language="de")))
    assert {path: (origin.group, origin.group_known) for path, origin in found.items()} == {
        "negative/1-77-A.wav": ("77", True),
        "negative/c.wav": ("speaker=bert", True),
        "negative/d.wav": ("negative/d.wav", False),
        "negative/speaker=/e.wav": ("negative/speaker=/e.wav", False),
        "negative/speaker=anna/a.wav": ("speaker=anna", True),
        "negative/speaker=anna/deep/b.wav": ("speaker=anna", True),
    }
    assert found["negative/c.wav"].text == "good morning"
    assert found["negative/c.wav"].licence == "CC0-1.0"
    assert found["negative/d.wav"].licence == "own"
    assert found["negative/d.wav"].language == "de"


def test_a_negative_whose_text_says_the_phrase_is_rejected(tmp_path: Path) -> None:
    touch(tmp_path, "negative/a.wav", "negative/b.wav", "hard_negative/c.wav", "positive/d.wav", "background/e.wav")
    (tmp_path / "metadata.csv").write_text(
        "path,speaker,text\n"
        "negative/a.wav,anna,good morning\n"
        'negative/b.wav,anna,"So, hey computer: do that!"\n'
        "hard_negative/c.wav,anna,Hey computer\n"
        "positive/d.wav,anna,hey computer\n"
        "background/e.wav,,hey computer\n"
    )
    found = look(tmp_path)
    assert set(origins(found)) == {"negative/a.wav", "positive/d.wav", "background/e.wav"}
    told = {rejection.path: rejection.reason for rejection in found.rejections}
    assert "holds the phrase 'hey computer' among other words" in told["negative/b.wav"]
    assert "is the phrase 'hey computer', but it lies among the negatives" in told["hard_negative/c.wav"]


def test_a_name_is_one_person_however_its_accents_are_spelled(tmp_path: Path) -> None:
    touch(tmp_path, "positive/speaker=Zoe\u0308/1.wav", "positive/2.wav")
    (tmp_path / "metadata.csv").write_text("path,speaker\npositive/2.wav,Zo\xeb\n", encoding="utf-8")
    assert {file.origin.group for file in look(tmp_path).files} == {"speaker=Zo\xeb"}


def test_one_manifest_at_the_root_may_serve_many_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.wav", "b/2.wav")
    (tmp_path / "all.csv").write_text("file,who,database\na/1.wav,x,first\nb/2.wav,y,second\n")
    columns = Columns(path="file", speaker="who", source="database")
    found = look(
        tmp_path,
        FolderConfig(path="a", label="positive", metadata="all.csv", columns=columns),
        FolderConfig(path="b", label="hard_negative", kind="other phrase", metadata="all.csv", columns=columns),
    )
    first, second = (file.origin for file in found.files)
    assert (first.group, first.source, first.kind) == ("speaker=x", "first", "phrase")
    assert (second.group, second.source, second.kind) == ("speaker=y", "second", "other phrase")
    assert found.warnings == []


def test_metadata_in_the_labels_folder_is_found_too(tmp_path: Path) -> None:
    touch(tmp_path, "positive/a.wav")
    (tmp_path / "positive" / "metadata.csv").write_text("path,speaker\na.wav,anna\n")
    assert origins(look(tmp_path))["positive/a.wav"].group == "speaker=anna"


def test_a_row_with_a_name_that_no_file_can_have_is_warned_of(tmp_path: Path) -> None:
    touch(tmp_path, "positive/a.wav")
    rows = f"path,speaker\na.wav,anna\n{'b' * 300}.wav,bert\n..\\{'c' * 300}.wav,carl\n"
    (tmp_path / "positive" / "metadata.csv").write_text(rows)
    assert "which are not there" in look(tmp_path).warnings[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("path,speakr\na.wav,x\n", "no column 'speaker'"),
        ("", "no column 'path'"),
        ("path;speaker\nnegative/a.wav;x\n", "separated by ';'"),
        ("path\tspeaker\nnegative/a.wav\tx\n", r"separated by '\t'"),
        ("path,speaker\nelsewhere.wav,x\n", "none of its paths"),
        ("path,speaker\nnegative/a.wav,x\nnegative/a.wav,y\n", "twice"),
        ('path,speaker\n"negative/a.wav,x\nnegative/b.wav,y\n', "a quote is not closed"),
    ],
)
def test_metadata_that_says_nothing_is_an_error(tmp_path: Path, content: str, told: str) -> None:
    touch(tmp_path, "negative/a.wav")
    (tmp_path / "metadata.csv").write_text(content)
    message = refusal(tmp_path)
    assert told in message
    assert "metadata.csv" in message


def test_what_spreadsheets_on_windows_write_is_read_or_refused_in_words(tmp_path: Path) -> None:
    touch(tmp_path, "negative/a.wav")
    (tmp_path / "metadata.csv").write_text("path,speaker\r\nnegative\\a.wav,anna\r\n")
    assert origins(look(tmp_path))["negative/a.wav"].group == "speaker=anna"
    (tmp_path / "metadata.csv").write_text("path,speaker\nnegative/a.wav,anna\n", encoding="utf-16")
    assert "UTF-16; save it as UTF-8" in refusal(tmp_path)


def test_a_positive_whose_text_is_something_else_is_rejected(tmp_path: Path) -> None:
    touch(tmp_path, "positive/a.wav", "positive/b.wav", "positive/c.wav")
    rows = "positive/a.wav,x,Hey Computer!\npositive/b.wav,x,good morning\npositive/c.wav,x,hey computer turn on\n"
    (tmp_path / "metadata.csv").write_text(f"path,speaker,text\n{rows}")
    found = look(tmp_path)
    assert set(origins(found)) == {"positive/a.wav"}
    assert [rejection.path for rejection in found.rejections] == ["positive/b.wav", "positive/c.wav"]
    assert "its text is 'good morning', but it lies among the positives" in found.rejections[0].reason


def test_a_row_with_an_absolute_path_is_told_as_no_speaker_comes_of_it(tmp_path: Path) -> None:
    touch(tmp_path, "negative/a.wav", "negative/b.wav")
    there = (tmp_path / "negative" / "a.wav").as_posix()
    (tmp_path / "metadata.csv").write_text(f"path,speaker\n{there},x\nnegative/b.wav,y\n")
    (warning,) = look(tmp_path).warnings
    assert there in warning and "must be relative" in warning and "not there" not in warning


def test_metadata_that_is_missing_or_a_folder_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "negative/a.wav", "metadata.csv/x.txt")
    assert "metadata.csv is a folder" in refusal(tmp_path)
    told = refusal(tmp_path, FolderConfig(path="negative", label="negative", metadata="gone.csv"))
    assert "ingest.folders.0.metadata" in told
    assert "gone.csv is missing" in told


def test_rows_without_a_file_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "negative/a.wav")
    (tmp_path / "metadata.csv").write_text("path,speaker\nnegative/a.wav,x\nnegative/b.wav,y\n")
    [warning] = look(tmp_path).warnings
    assert "negative/b.wav" in warning


def test_a_pattern_that_finds_nothing_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "negative/a.wav")
    assert "group_pattern" in refusal(tmp_path, FolderConfig(path=".", group_pattern="[0-9]+"))


def test_with_several_phrases_each_positive_says_which_it_speaks(tmp_path: Path) -> None:
    touch(tmp_path, "positive/phrase=stop_it/speaker=a/x.wav", "positive/phrase=Hey Computer/y.wav")
    found = origins(look(tmp_path, phrases=TWO))
    assert found["positive/phrase=stop_it/speaker=a/x.wav"].phrase == "stop it"
    assert found["positive/phrase=Hey Computer/y.wav"].phrase == "hey computer"
    touch(tmp_path, "positive/z.wav")
    message = refusal(tmp_path, phrases=TWO)
    assert "positive/z.wav" in message
    assert "phrase=NAME" in message


def test_a_phrase_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "positive/phrase=hello/x.wav")
    assert "'hello', which is none of the phrases (hey computer)" in refusal(tmp_path)
    touch(tmp_path, "p/x.wav")
    assert "'hello'" in refusal(tmp_path, FolderConfig(path="p", label="positive", phrase="hello"))


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.wav", "raw/positive/b.wav")
    (tmp_path / "raw" / "positive" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "raw" / "positive" / "loop").symlink_to(tmp_path / "raw" / "positive")
    (tmp_path / "raw" / "positive" / "self").symlink_to("self")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "raw")
    found = look(tmp_path / "raw")
    assert sorted(origins(found)) == ["positive/b.wav", "positive/linked/a.wav", "positive/self"]
    loop = next(file for file in found.files if file.file.name == "self")
    assert "symbolic link" in _reason(decode_file(loop, tmp_path))


def test_names_of_any_characters_become_readable_text(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "négatif ñ.wav") for form in ("NFC", "NFD"))
    odd = os.fsdecode(b"caf\xe9 \"a\" 'b'\n.wav")
    touch(tmp_path, f"negative/{decomposed}", f"negative/{odd}", "negative/speaker=日本/こんにちは.wav")
    (tmp_path / "metadata.csv").write_text(f"path,speaker\nnegative/{composed},anna\n", encoding="utf-8")
    found = origins(look(tmp_path))
    assert found[f"negative/{decomposed}"].group == "speaker=anna"
    assert found["negative/speaker=日本/こんにちは.wav"].group == "speaker=日本"
    assert "negative/caf\\xe9 \"a\" 'b'\n.wav" in found
    for path in found:
        path.encode("utf-8")


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "negative/a.wav", "negative/shut/b.wav")
    scandir = os.scandir

    def shut(path: Any) -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", shut)
    found = look(tmp_path)
    assert list(origins(found)) == ["negative/a.wav"]
    [rejection] = found.rejections
    assert "shut" in rejection.path
    assert "Permission denied" in rejection.reason


def audio_file(path: Path, label: Label) -> AudioFile:
    phrase = "hey computer" if label == "positive" else None
    return AudioFile(path, Origin(label, phrase, phrase, "speech", "g", True, "s", "l", None, path.name))


def _reason(result: object) -> str:
    assert isinstance(result, Rejection)
    return result.reason


def test_a_file_becomes_a_recording_with_its_active_part(tmp_path: Path) -> None:
    samples = np.concatenate([np.zeros(RATE), word(0.75, 1), np.zeros(RATE)])
    path = write(tmp_path / "a.wav", samples)
    result = decode_file(audio_file(path, "positive"), tmp_path)
    assert isinstance(result, Recording)
    assert result.origin_rate == RATE
    assert result.active == (pytest.approx(RATE, abs=800), pytest.approx(1.75 * RATE, abs=800))


def test_bad_files_become_rejections(tmp_path: Path) -> None:
    long = write(tmp_path / "long.wav", tone(10.1))
    assert "longer than 10 s" in _reason(decode_file(audio_file(long, "positive"), tmp_path))
    assert isinstance(decode_file(audio_file(long, "negative"), tmp_path), Recording)
    text = tmp_path / "text.wav"
    text.write_text("hello")
    for label in ("positive", "noise", "rir"):
        assert "as audio" in _reason(decode_file(audio_file(text, label), tmp_path))


def test_a_long_recording_is_cut_into_equal_pieces_and_loses_nothing(tmp_path: Path) -> None:
    samples = (tone(61.3) * 20_000).astype(np.int16)
    path = write(tmp_path / "a.wav", samples)
    result = decode_file(audio_file(path, "noise"), tmp_path)
    assert isinstance(result, LongRecording)
    cut = list(pieces(result))
    np.testing.assert_array_equal(np.concatenate([piece.pcm for _, piece in cut]), samples)
    assert [start for start, _ in cut] == pytest.approx([0, 61.3 / 3, 2 * 61.3 / 3], abs=1e-3)
    assert all(len(piece.pcm) <= 30 * RATE and piece.origin == result.origin for _, piece in cut)
