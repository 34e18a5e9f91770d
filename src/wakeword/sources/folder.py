"""The folder source: finding recordings on disk, learning what each is and who made it, and decoding them."""

import codecs
import csv
import hashlib
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from wakeword.base.errors import UserError
from wakeword.corpus.manifest import SAMPLE_RATE, Label, Origin, Recording, Rejection
from wakeword.sources.activity import active_interval
from wakeword.sources.config import Columns, FolderConfig, IngestConfig
from wakeword.sources.decode import Undecodable, open_audio, pcm_blocks, read_impulse
from wakeword.sources.texts import relate

LAYOUT: dict[str, Label] = {
    "positive": "positive",
    "negative": "negative",
    "hard_negative": "hard_negative",
    "background": "noise",
    "rirs": "rir",
}
"""What the subfolders of a folder without a label hold."""

KINDS: dict[Label, str] = {
    "positive": "phrase",
    "negative": "speech",
    "hard_negative": "similar",
    "noise": "noise",
    "rir": "room",
}

LONGEST_POSITIVE_S = 10.0
LONGEST_PIECE_S = 30.0

_NO_AUDIO = {".txt", ".md", ".csv", ".json", ".yaml"}


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file to decode, and what it will be."""

    file: Path
    origin: Origin


@dataclass(frozen=True, slots=True)
class LongRecording:
    """A recording too long to be kept in memory: its samples lie in a scratch file, int16 at 16 kHz, no header."""

    origin: Origin
    origin_rate: int
    scratch: Path
    samples: int


@dataclass
class Found:
    """What lies in the folders.

    Attributes:
        files: in the order of the folders in params and, within one, of their paths.
        rejections: what could not even be looked into.
        warnings: what a person should know, each with its remedy.
    """

    files: list[AudioFile] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        """Append what was found elsewhere."""
        self.files += other.files
        self.rejections += other.rejections
        self.warnings += other.warnings


def find(config: IngestConfig, phrases: list[str]) -> Found:
    """Look for audio files in the configured folders. None is opened yet.

    Args:
        config: the section `ingest`.
        phrases: every wake phrase.

    Raises:
        UserError: a configured folder is missing, empty or a file; a metadata file is missing or not as configured;
            a positive names no phrase while there are several, or one that there is not.
    """
    root = Path(config.root)
    if root.exists() and not root.is_dir():
        raise UserError(f"ingest.root: {root} is a file, not a folder; name the folder that holds the recordings")
    found = Found()
    for number, folder in enumerate(config.folders):
        key = f"ingest.folders.{number}"
        top = root / folder.path
        if not top.exists() and folder.label is None and PurePosixPath(folder.path) == PurePosixPath("."):
            continue  # the default: recordings are optional, the stage says what it found
        if not top.is_dir():
            wrong = (
                "is a file, not a folder; name its folder" if top.exists() else "is missing; create it or correct it"
            )
            raise UserError(f"{key}.path: {readable(top)} {wrong}")
        before = len(found.files), len(found.rejections)
        try:
            _find_in(folder, key, config, phrases, found)
        except PermissionError as failure:
            raise UserError(
                f"{key}.path: this user may not read {readable(failure.filename)}; change its permissions (`chmod`)"
            ) from None
        nothing = before == (len(found.files), len(found.rejections))
        if nothing and (folder.label is not None or PurePosixPath(folder.path) != PurePosixPath(".")):
            holding = "" if folder.label else f" (it may hold {', '.join(f'{name}/' for name in LAYOUT)})"
            raise UserError(f"{key}.path: {readable(top)} holds no audio file{holding}; fill it or remove the entry")
    return found


def readable(path: Path | str) -> str:
    """Return a path as text that any file can hold: bytes of a name that are no UTF-8 are shown as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _find_in(folder: FolderConfig, key: str, config: IngestConfig, phrases: list[str], found: Found) -> None:
    root = Path(config.root)
    top = root / folder.path
    if folder.label is not None:
        parts: list[tuple[Label, Path]] = [(folder.label, top)]
    else:
        parts = [(label, top / name) for name, label in LAYOUT.items() if (top / name).exists()]
        found.warnings += _left_out(top, config)
    metadata = _Metadata(folder, key, root, [top, *(part for _, part in parts)])
    grouped = re.compile(folder.group_pattern) if folder.group_pattern else None
    group_pattern_used = False
    for label, part in parts:
        if not part.is_dir():
            raise UserError(f"{readable(part)} is a file, not a folder; a folder of that name holds the {label} clips")
        for path in sorted(walk(part, found.rejections), key=lambda path: path.parts):
            relative = path.relative_to(root)
            row = metadata.row(relative)
            match = grouped.search(readable(relative)) if grouped else None
            group_pattern_used |= match is not None
            speaker = _named(relative, "speaker") or row.get("speaker")
            phrase = _phrase(relative, label, row, folder, phrases) if label == "positive" else None
            if said := _mislabelled(label, row.get("text"), phrase, phrases):
                found.rejections.append(Rejection(readable(relative), said))
                continue
            group = f"speaker={speaker}" if speaker else (match[1] if match and match.re.groups else match and match[0])
            origin = Origin(
                label=label,
                phrase=phrase,
                text=row.get("text") or phrase,
                kind=row.get("kind") or folder.kind or KINDS[label],
                # A Mac's folders spell "é" as two characters, most files as one; it is one person.
                group=unicodedata.normalize("NFC", group or readable(relative)),
                group_known=bool(group) or label in ("noise", "rir"),
                source=row.get("source") or folder.source,
                licence=row.get("licence") or folder.licence,
                language=row.get("language") or folder.language,
                path=readable(relative),
            )
            found.files.append(AudioFile(path, origin))
    found.warnings += metadata.unused(top, parts)
    if grouped and parts and not group_pattern_used:
        raise UserError(
            f"{key}.group_pattern: {grouped.pattern!r} is found in no path below {readable(top)}; correct it"
        )


def _left_out(top: Path, config: IngestConfig) -> list[str]:
    """Return a warning for whatever in an unlabelled folder belongs to no label, such as a misspelt subfolder."""
    root = Path(config.root)
    elsewhere = [root / folder.path for folder in config.folders]
    elsewhere += [root / folder.metadata for folder in config.folders if folder.metadata]
    elsewhere += [root / corpus.path for corpus in config.corpora if corpus.path]
    strange = []
    for entry in sorted(top.iterdir()):
        if (
            entry.name in LAYOUT
            or entry.name.startswith(".")
            or (entry.is_file() and entry.suffix.lower() in _NO_AUDIO)
        ):
            continue
        if not any(place == entry or entry in place.parents for place in elsewhere):
            strange.append(readable(entry.name))
    if not strange:
        return []
    shown = ", ".join(strange[:5]) + (" and more" if len(strange) > 5 else "")
    return [
        f"{readable(top)} holds {shown}, which is none of {', '.join(f'{name}/' for name in LAYOUT)} and was not read; "
        "move it into one of them, or add an entry with a label to ingest.folders"
    ]


def walk(top: Path, rejections: list[Rejection]) -> Iterator[Path]:
    """Yield every visible file that might be audio, at any depth; links are followed, each folder is entered once."""

    def unreadable(failure: OSError) -> None:
        rejections.append(Rejection(readable(failure.filename), f"the folder can't be read: {failure.strerror}"))

    entered: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(top, onerror=unreadable, followlinks=True):
        status = Path(folder).stat()
        identity = status.st_dev, status.st_ino
        if identity in entered:
            subfolders.clear()
            continue
        entered.add(identity)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and PurePosixPath(name).suffix.lower() not in _NO_AUDIO:
                yield Path(folder, name)


def _named(relative: Path, key: str) -> str | None:
    """Return NAME of the deepest subfolder called `key=NAME`, or None."""
    for part in reversed(relative.parts[:-1]):
        if part.startswith(f"{key}=") and len(part) > len(key) + 1:
            return readable(part[len(key) + 1 :])
    return None


def _phrase(relative: Path, label: Label, row: dict[str, str], folder: FolderConfig, phrases: list[str]) -> str:
    name = _named(relative, "phrase") or row.get("phrase") or folder.phrase
    if name is None:
        if len(phrases) == 1:
            return phrases[0]
        raise UserError(
            f"{readable(relative)}: there are {len(phrases)} phrases, and nothing says which one this file speaks; "
            "put it into a subfolder phrase=NAME, or give its folder a phrase in ingest.folders"
        )
    for phrase in phrases:
        if _folded(name) == _folded(phrase):
            return phrase
    raise UserError(
        f"{readable(relative)}: is said to speak '{name}', which is none of the phrases ({', '.join(phrases)}); "
        "correct the name, or add the phrase to phrases in params.yaml"
    )


def _mislabelled(label: Label, text: str | None, own: str | None, phrases: list[str]) -> str | None:
    """Return why a recording can't be used as what it lies among, by what its text says; None if it can.

    Args:
        own: the phrase that a positive is said to speak.
    """
    if text is None or label not in ("positive", "negative", "hard_negative"):
        return None
    if own is not None:
        if relate(text, [own])[0] == "is":
            return None
        return f"its text is {text!r}, but it lies among the positives of '{own}'; move it, or correct the text"
    relation, phrase = relate(text, phrases)
    if relation == "is":
        return f"its text is the phrase '{phrase}', but it lies among the negatives; move it, or correct the text"
    if relation == "holds":
        return f"its text holds the phrase '{phrase}' among other words, which would be taught as a mistake"
    return None


def _folded(phrase: str) -> str:
    return unicodedata.normalize("NFC", phrase).casefold().replace("_", " ")


class _Metadata:
    """What the CSV files of one folder say about its files, by path."""

    def __init__(self, folder: FolderConfig, key: str, root: Path, places: list[Path]) -> None:
        self._rows: dict[str, dict[str, str]] = {}
        self._root = root
        self._used: set[str] = set()
        if folder.metadata is not None:
            self._key = f"{key}.metadata"
            if not (root / folder.metadata).exists():
                raise UserError(f"{self._key}: {readable(root / folder.metadata)} is missing; create it or correct it")
            self._read(root / folder.metadata, folder.columns)
        else:
            self._key = "metadata.csv"
            for place in dict.fromkeys(places):
                if (place / "metadata.csv").exists():
                    self._read(place / "metadata.csv", None)

    def row(self, relative: Path) -> dict[str, str]:
        """Return what is known of a file, given its path relative to the root."""
        name = _normal(relative.as_posix())
        if name in self._rows:
            self._used.add(name)
        return self._rows.get(name, {})

    def unused(self, top: Path, parts: list[tuple[Label, Path]]) -> list[str]:
        """Return a warning if rows name files of this folder that are not there; fail if all do."""
        if self._rows and parts and not self._used:
            raise UserError(
                f"{self._key}: none of its paths (such as '{readable(min(self._rows))}') is a file in {readable(top)}; "
                "they must be relative to the folder that the CSV file is in"
            )
        inside = "" if top == self._root else _normal(top.relative_to(self._root).as_posix()) + "/"
        told = []
        if absolute := sorted(name for name in self._rows if name.startswith("/")):
            told.append(
                f"{self._key} names '{readable(absolute[0])}'{_and_more(absolute)} by an absolute path, so that "
                "nothing is known of the file; paths must be relative to the folder that the CSV file is in"
            )
        if missing := sorted(n for n in self._rows if n.startswith(inside) and not _is_there(self._root / n)):
            are = "are" if len(missing) > 1 else "is"
            told.append(
                f"{self._key} names '{readable(missing[0])}'{_and_more(missing)}, which {are} not there; correct the "
                "paths or remove the rows"
            )
        return told

    def _read(self, path: Path, columns: Columns | None) -> None:
        rows: dict[str, dict[str, str]] = {}
        try:
            with path.open("rb") as file:
                if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                    raise UserError(f"{readable(path)} is written in UTF-16; save it as UTF-8")
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                reader = csv.DictReader(file)
                wanted = _columns(path, list(reader.fieldnames or []), columns)
                for row in reader:
                    values = {name: (row[column] or "").strip() for name, column in wanted.items()}
                    named = values.pop("path")
                    if "\n" in named:
                        raise UserError(
                            f"{readable(path)}: in line {reader.line_num} or before it a quote is not closed, so that "
                            f"lines run together from '{readable(named.splitlines()[0])}' on; close or remove it"
                        )
                    relative = self._relative(path.parent, named)
                    kept = {name: readable(value) for name, value in values.items() if value}
                    if rows.setdefault(_normal(relative), kept) != kept:
                        raise UserError(
                            f"{readable(path)}: '{readable(relative)}' stands there twice, differently; keep one row"
                        )
        except IsADirectoryError:
            raise UserError(f"{readable(path)} is a folder; it must be a CSV file with path,speaker") from None
        except (OSError, csv.Error) as failure:
            raise UserError(
                f"cannot read {readable(path)}: {failure}; it must be a CSV file with path,speaker"
            ) from None
        self._rows |= rows

    def _relative(self, folder: Path, named: str) -> str:
        """Return a path that stands in a CSV file of `folder` relative to the root, "\\" read as "/" if need be."""
        relative = (folder.relative_to(self._root) / named).as_posix()
        if "\\" in named and not _is_there(self._root / relative):
            return self._relative(folder, named.replace("\\", "/"))
        return relative


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have, such as one of 300 letters
        return False


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _columns(path: Path, header: list[str], columns: Columns | None) -> dict[str, str]:
    """Return which column holds which property, checked against the CSV's header."""
    if columns is None:
        wanted = {"path": "path", "speaker": "speaker"}
        wanted |= {name: name for name in Columns.model_fields if name in header}
    else:
        wanted = {name: column for name, column in columns if column is not None}
    for column in wanted.values():
        if column not in header:
            if len(header) == 1 and (separator := re.search("[;\t]", header[0])):
                raise UserError(
                    f"{readable(path)}: its columns are separated by {separator[0]!r}; separate them by commas"
                )
            raise UserError(
                f"{readable(path)} has no column '{column}' (its first line is '{readable(','.join(header))}'); "
                "add it, or say in ingest.folders under columns how it is called"
            )
    return wanted


def _normal(path: str) -> str:
    return unicodedata.normalize("NFC", os.path.normpath(path))


def decode_file(item: AudioFile, scratch: Path) -> Recording | LongRecording | Rejection:
    """Decode a file; a recording longer than 30 s is written into the folder `scratch` instead of kept in memory.

    Raises:
        OSError: the scratch file can't be written (the disk is full).
    """
    try:
        if item.origin.label == "rir":
            pcm, rate = read_impulse(item.file)
            return Recording(item.origin, pcm, rate, (0, len(pcm)))
        return _decode_clip(item, scratch)
    except Undecodable as reason:
        return Rejection(item.origin.path, str(reason))


def _decode_clip(item: AudioFile, scratch: Path) -> Recording | LongRecording:
    with open_audio(item.file) as audio:
        blocks = pcm_blocks(audio)
        kept: list[np.ndarray] = []
        samples = 0
        for block in blocks:
            kept.append(block)
            samples += len(block)
            if item.origin.label == "positive" and samples > LONGEST_POSITIVE_S * SAMPLE_RATE:
                raise Undecodable(f"longer than {LONGEST_POSITIVE_S:g} s; cut it to the phrase alone")
            if samples > LONGEST_PIECE_S * SAMPLE_RATE:
                return _spill(item, audio.rate, kept, blocks, scratch)
        pcm = np.concatenate(kept)
        return Recording(item.origin, pcm, audio.rate, active_interval(pcm))


def _spill(
    item: AudioFile, rate: int, kept: list[np.ndarray], blocks: Iterator[np.ndarray], scratch: Path
) -> LongRecording:
    path = scratch / f"{hashlib.sha256(os.fsencode(item.file)).hexdigest()[:32]}.pcm"
    samples = 0
    with path.open("wb") as file:
        for part in (kept, blocks):
            for block in part:
                file.write(block.astype("<i2").data)
                samples += len(block)
    return LongRecording(item.origin, rate, path, samples)


def pieces(recording: LongRecording) -> Iterator[tuple[float, Recording]]:
    """Yield a long recording in equal parts of at most 30 s, each with its start in seconds; all share its origin."""
    count = -(-recording.samples // round(LONGEST_PIECE_S * SAMPLE_RATE))
    edges = [recording.samples * number // count for number in range(count + 1)]
    for start, end in itertools.pairwise(edges):
        pcm = np.fromfile(recording.scratch, dtype="<i2", count=end - start, offset=2 * start)
        yield start / SAMPLE_RATE, Recording(recording.origin, pcm, recording.origin_rate, active_interval(pcm))
