"""Public corpora by name: where each lies, which of its files are read, and what they are to the wake phrases.

The name of a group begins with its corpus and, where that has official parts, the part: "librispeech/dev-clean/84",
"speech_commands/testing/0a2b400e". So `split.pins` can follow the official splits with a pattern for each.
"""

import csv
import hashlib
import os
import unicodedata
import zlib
from pathlib import Path

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Origin, Rejection
from wakeword.sources.config import IngestConfig
from wakeword.sources.corpora_config import CorpusConfig, CorpusName
from wakeword.sources.corpora_layouts import LAYOUTS, Item
from wakeword.sources.download import fetch
from wakeword.sources.folder import AudioFile, Found, readable, walk
from wakeword.sources.texts import relate

KEY = "ingest.corpora"

_AUDIO = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".g722"}


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
                raise UserError(
                    f"{key}.path: {readable(top)} is no folder; install or unpack the corpus there, or give its url"
                )
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
    except (OSError, EOFError, zlib.error, ValueError, TypeError, csv.Error) as failure:
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
