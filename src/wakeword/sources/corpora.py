"""Public corpora by name: what lies where in each, what it is, who made it, what is said, and under which licence.

The layouts are read here rather than through `torchaudio.datasets`: those import torch, which takes longer than the
rest of this stage needs to start, and decode through torchcodec, which is one more package than `decode` needs.

The name of a group begins with its corpus and, where that has official parts, the part: "librispeech/dev-clean/84",
"speech_commands/testing/0a2b400e". So `split.pins` can follow the official splits with a pattern for each.
"""

import csv
import hashlib
import os
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Label, Origin, Rejection
from wakeword.sources.config import IngestConfig
from wakeword.sources.corpora_config import CorpusConfig, CorpusName
from wakeword.sources.download import fetch
from wakeword.sources.folder import AudioFile, Found, readable, walk
from wakeword.sources.texts import relate

KEY = "ingest.corpora"

_AUDIO = {".wav", ".flac", ".mp3", ".ogg", ".opus"}


@dataclass(frozen=True, slots=True)
class Item:
    """A file of a corpus. Speech is a negative until its text has been compared with the phrases.

    Attributes:
        part: what `only` chooses by.
        group: who or what made it, within the corpus.
    """

    file: Path
    part: str
    label: Label
    kind: str
    group: str
    licence: str
    text: str | None = None
    language: str | None = None


Reader = Callable[[list[Path]], Iterator[Item]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a corpus is read.

    Attributes:
        read: from all its audio files, in order, to those that belong to it.
        looks: what its folder must hold, for whoever named another one.
    """

    read: Reader
    looks: str


def find(config: IngestConfig, phrases: list[str], downloads: Path) -> Found:
    """Look for the files of the configured corpora, after downloading those that are given by url. None is opened yet.

    A recording whose text is a wake phrase becomes a positive of it, one that is a part of a phrase a hard negative;
    one that holds a phrase among other words is rejected, since where it lies is unknown.

    Args:
        config: the section `ingest`.
        phrases: every wake phrase.
        downloads: keeps what is downloaded.

    Raises:
        UserError: a folder is missing or does not look like its corpus, `only` names a part that there is not, or a
            download failed.
    """
    found = Found()
    for number, corpus in enumerate(config.corpora):
        key = f"{KEY}.{number}"
        if corpus.url is not None and corpus.sha256 is not None:
            top = fetch(corpus.url, corpus.sha256, downloads)
        else:
            top = Path(config.root) / (corpus.path or "")
            if not top.is_dir():
                raise UserError(f"{key}.path: {readable(top)} is no folder; unpack the corpus there, or give its url")
        items = _chosen(corpus, key, top, _read(corpus, key, top, found.rejections))
        log.info(f"found {corpus.name}", files=len(items), at=readable(top))
        for item in items:
            _take(corpus.name, top, item, phrases, found)
    return found


def _read(corpus: CorpusConfig, key: str, top: Path, rejections: list[Rejection]) -> list[Item]:
    layout = LAYOUTS[corpus.name]
    try:
        paths = [path for path in walk(top.absolute(), rejections) if path.suffix.lower() in _AUDIO]
        items = list(layout.read(sorted(paths, key=lambda path: path.parts)))
    except KeyError as failure:
        raise UserError(
            f"{key}: {failure} stands in no table of {corpus.name} at {readable(top)}; unpack it anew"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise UserError(f"{key}: cannot read {readable(top)} as {corpus.name}: {failure}; unpack it anew") from None
    if not items:
        place = "url" if corpus.path is None else "path"
        raise UserError(
            f"{key}.{place}: {readable(top)} does not look like {corpus.name}, which holds {layout.looks}; correct it"
        )
    return items


def _chosen(corpus: CorpusConfig, key: str, top: Path, items: list[Item]) -> list[Item]:
    if corpus.only is not None:
        parts = {item.part for item in items}
        if missing := [part for part in corpus.only if part not in parts]:
            there = sorted(parts)
            shown = ", ".join(there[:40]) + (" and more" if len(there) > 40 else "")
            raise UserError(f"{key}.only: {readable(top)} holds no '{missing[0]}'; it holds {shown}")
        items = [item for item in items if item.part in corpus.only]
    if corpus.most is not None:
        by_hash = sorted(items, key=lambda item: hashlib.sha256(os.fsencode(_relative(item, top))).digest())
        kept = set(by_hash[: corpus.most])
        items = [item for item in items if item in kept]
    return items


def _relative(item: Item, top: Path) -> Path:
    return item.file.relative_to(top.absolute())


def _take(name: CorpusName, top: Path, item: Item, phrases: list[str], found: Found) -> None:
    label, kind, phrase = item.label, item.kind, None
    path = f"{name}/{readable(_relative(item, top))}"
    if item.text is not None:
        relation, of = relate(item.text, phrases)
        if relation == "holds":
            found.rejections.append(Rejection(path, f"its text holds the phrase '{of}' among other words"))
            return
        if relation == "is":
            label, kind, phrase = "positive", "phrase", of
        elif relation == "part":
            label, kind = "hard_negative", "part"
    origin = Origin(
        label=label,
        phrase=phrase,
        text=item.text,
        kind=kind,
        group=unicodedata.normalize("NFC", f"{name}/{readable(item.group)}"),
        group_known=True,
        source=name,
        licence=item.licence,
        language=item.language,
        path=path,
    )
    found.files.append(AudioFile(item.file, origin))


def _speech_commands(paths: list[Path]) -> Iterator[Item]:
    """Warden, "Speech Commands", arXiv:1804.03209, 2018: WORD/SPEAKER_nohash_NUMBER.wav."""
    licence = "CC-BY-4.0"
    for path in paths:
        word = path.parent.name
        speaker, marked, _ = path.stem.partition("_nohash_")
        if word in ("_background_noise_", "_silence_"):
            yield Item(path, word, "noise", "noise", f"background/{path.stem}", licence)
        elif marked:
            part = _official_part(path.parents[1]).get(speaker, "training")
            text = None if word.startswith("_") else word
            yield Item(path, word, "negative", "word", f"{part}/{speaker}", licence, text, "en")


@lru_cache(maxsize=8)
def _official_part(top: Path) -> dict[str, str]:
    """Return the speakers whom the corpus's own lists put into validation and testing."""
    parts = {}
    for part in ("validation", "testing"):
        listed = top / f"{part}_list.txt"
        for line in listed.read_text(encoding="utf-8").splitlines() if listed.exists() else ():
            parts[line.rpartition("/")[2].partition("_nohash_")[0]] = part
    return parts


def _librispeech(paths: list[Path]) -> Iterator[Item]:
    """Panayotov et al., "Librispeech", ICASSP 2015: SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac."""
    for path in paths:
        named = re.fullmatch(r"(\d+)-(\d+)-\d+", path.stem)
        if named and path.suffix == ".flac" and len(path.parents) > 2:
            speaker, subset = named[1], path.parents[2].name
            said = _transcripts(path.with_name(f"{speaker}-{named[2]}.trans.txt"))[path.stem]
            yield Item(path, subset, "negative", "speech", f"{subset}/{speaker}", "CC-BY-4.0", said, "en")


@lru_cache(maxsize=8)
def _transcripts(path: Path) -> dict[str, str]:
    rows = (line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: text.strip().lower() for name, _, text in rows}


def _common_voice(paths: list[Path]) -> Iterator[Item]:
    """Ardila et al., "Common Voice", LREC 2020: LANGUAGE/clips/NAME.mp3 and tables of who says what in them."""
    for path in paths:
        if path.parent.name == "clips":
            row = _common_voice_rows(path.parents[1]).get(path.stem)
            if row is not None:  # what is not validated may be anything
                part, speaker, text, language = row
                yield Item(path, language, "negative", "speech", f"{part}/{speaker}", "CC0-1.0", text, language)


@lru_cache(maxsize=8)
def _common_voice_rows(folder: Path) -> dict[str, tuple[str, str, str, str]]:
    """Return (official part, speaker, sentence, language) of each clip. A speaker's clips are all in one part."""
    rows: dict[str, dict[str, str]] = {}
    part_of: dict[str, str] = {}
    for part in ("test", "dev", "train", "validated"):
        table = folder / f"{part}.tsv"
        if table.exists():
            with table.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                    rows[Path(row["path"]).stem] = row
                    part_of.setdefault(row["client_id"], "other" if part == "validated" else part)
    return {
        name: (
            part_of[row["client_id"]],
            row["client_id"][:16],
            row["sentence"] or "",
            row.get("locale") or folder.name,
        )
        for name, row in rows.items()
    }


def _musan(paths: list[Path]) -> Iterator[Item]:
    """Snyder et al., "MUSAN", 2015: {speech,noise,music}/COLLECTION/NAME.wav, each file another source."""
    for path in paths:
        part = path.parents[1].name if len(path.parents) > 1 else ""
        if part in ("speech", "noise", "music"):
            label: Label = "negative" if part == "speech" else "noise"
            yield Item(path, part, label, part, f"{part}/{path.stem}", "CC-BY-4.0")


def _esc50(paths: list[Path]) -> Iterator[Item]:
    """Piczak, "ESC: Dataset for Environmental Sound Classification", 2015: audio/FOLD-SOURCE-TAKE-CLASS.wav."""
    for path in paths:
        named = re.fullmatch(r"\d+-(\d+)-[A-Z]-\d+", path.stem)
        if named and path.parent.name == "audio":
            category, in_esc10 = _esc50_rows(path.parents[1] / "meta" / "esc50.csv")[path.name]
            licence = "CC-BY-3.0" if in_esc10 else "CC-BY-NC-3.0"
            yield Item(path, category, "noise", "noise", named[1], licence)


@lru_cache(maxsize=8)
def _esc50_rows(path: Path) -> dict[str, tuple[str, bool]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["filename"]: (row["category"], row["esc10"] == "True") for row in csv.DictReader(file)}


def _demand(paths: list[Path]) -> Iterator[Item]:
    """Thiemann et al., "DEMAND", 2013: ENVIRONMENT/ch01.wav to ch16.wav, sixteen microphones at once."""
    for path in paths:
        if re.fullmatch(r"ch\d\d", path.stem):
            environment = path.parent.name
            yield Item(path, environment, "noise", "noise", environment, "CC-BY-SA-3.0")


def _openslr_rirs(paths: list[Path]) -> Iterator[Item]:
    """Ko et al., "A study on data augmentation of reverberant speech", ICASSP 2017: SLR26, and SLR28 with real rooms.

    Simulated: {small,medium,large}room/RoomNNN/; the same rooms in both. Real rooms and noise in them are told apart
    by the lists beside them; without these, all from one collection count as one room.
    """
    licence = "Apache-2.0"
    for path in paths:
        folder, size = path.parent.name, path.parents[1].name if len(path.parents) > 1 else ""
        if re.fullmatch(r"(small|medium|large)room", size) and folder.startswith("Room"):
            yield Item(path, size, "rir", "room", f"{size}/{folder}", licence)
        elif folder == "pointsource_noises":
            yield Item(path, "pointsource", "noise", "noise", f"pointsource/{path.stem}", licence)
        elif folder == "real_rirs_isotropic_noises":
            room = _listed_rooms(path.parent).get(path.name) or path.stem.partition("_")[0]
            if "_noise_" in path.stem or path.stem.startswith("noise"):
                yield Item(path, "isotropic", "noise", "noise", f"real/{room}", licence)
            else:
                yield Item(path, "real", "rir", "room", f"real/{room}", licence)


@lru_cache(maxsize=8)
def _listed_rooms(folder: Path) -> dict[str, str]:
    """Return the room of each file, from lines such as `--rir-id 1 --room-id hall RIRS_NOISES/.../name.wav`."""
    rooms = {}
    for name, option in (("rir_list", "--room-id"), ("noise_list", "--room-linkage")):
        listed = folder / name
        for line in listed.read_text(encoding="utf-8").splitlines() if listed.exists() else ():
            fields = shlex.split(line)
            if option in fields:
                rooms[Path(fields[-1]).name] = fields[fields.index(option) + 1]
    return rooms


LAYOUTS: dict[CorpusName, Layout] = {
    "speech_commands": Layout(_speech_commands, "WORD/SPEAKER_nohash_0.wav and _background_noise_/"),
    "librispeech": Layout(_librispeech, "dev-clean/84/121123/84-121123-0000.flac and the like"),
    "common_voice": Layout(_common_voice, "clips/ and beside it validated.tsv, or train.tsv, dev.tsv and test.tsv"),
    "musan": Layout(_musan, "speech/, noise/ and music/, each with a folder for each of its collections"),
    "esc50": Layout(_esc50, "audio/1-100032-A-0.wav and the like, and meta/esc50.csv"),
    "demand": Layout(_demand, "a folder for each environment with ch01.wav to ch16.wav"),
    "openslr_rirs": Layout(_openslr_rirs, "smallroom/Room001/ and the like, or real_rirs_isotropic_noises/"),
}
