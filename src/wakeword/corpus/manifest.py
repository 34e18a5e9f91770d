"""What the corpus knows about each clip, and the manifest that stores it, one JSON object a line."""

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from wakeword.base.errors import UserError

SAMPLE_RATE = 16_000

Label = Literal["positive", "negative", "hard_negative", "noise", "rir"]
LABELS: tuple[Label, ...] = get_args(Label)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a clip comes from and what it holds, known before its audio is.

    Attributes:
        label: what it is to a detector.
        phrase: the wake phrase that it speaks; None unless `label` is positive.
        text: what is said, where that is known.
        kind: what kind of sound it is ("phrase", "speech", "phrase part", "noise"...); evaluation reports by it.
        group: who or what made it: a speaker, a synthetic voice, a source recording.
        group_known: False where the group is only the file itself because nobody said who speaks.
        source: the data set or engine.
        licence: as given with the source; "unknown" where it is not.
        language: ISO 639 code, where known.
        path: the file it was read from, relative to the source's root; for synthesis the utterance's description.
        synthesis: engine, voice and every parameter, for a synthetic clip; None for a recording.
        phonemes: those of the text, in IPA and apart by spaces; None where the text or how it is said is not known.
    """

    label: Label
    phrase: str | None
    text: str | None
    kind: str
    group: str
    group_known: bool
    source: str
    licence: str
    language: str | None
    path: str
    synthesis: dict[str, str | int | float] | None = None
    phonemes: str | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """A clip on its way into the corpus: its origin and its samples, `(samples,)` int16 at 16 kHz mono.

    `active` is the interval, in samples, in which somebody speaks (for positives: the keyword).
    """

    origin: Origin
    pcm: np.ndarray
    origin_rate: int
    active: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A file or utterance that did not become a clip, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip in the corpus: its origin, and where its samples lie (see `wakeword.corpus.shards`)."""

    id: str
    origin: Origin
    origin_rate: int
    active_start: int
    active_end: int
    shard: int
    offset: int
    samples: int

    @property
    def synthetic(self) -> bool:
        return self.origin.synthesis is not None

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE


_CLIP_FIELDS = frozenset(field.name for field in fields(Clip))
_ORIGIN_FIELDS = frozenset(field.name for field in fields(Origin))
_OF_FEW_VALUES = ("label", "phrase", "kind", "group", "source", "licence", "language")


def interned(origin: Origin) -> Origin:
    """Return an equal origin that shares with others what few values are of: read or received, each has copies."""
    values: dict[str, Any] = {name: getattr(origin, name) for name in _ORIGIN_FIELDS}
    values |= {name: sys.intern(values[name]) for name in _OF_FEW_VALUES if values[name] is not None}
    if origin.synthesis is not None:
        values["synthesis"] = {
            sys.intern(key): sys.intern(value) if isinstance(value, str) else value
            for key, value in origin.synthesis.items()
        }
    return Origin(**values)


def content_hash(pcm: np.ndarray) -> str:
    """Return 32 hex digits that identify the samples, `(samples,)` int16, and nothing else about a clip."""
    return hashlib.sha256(np.ascontiguousarray(pcm, dtype="<i2").tobytes()).hexdigest()[:32]


def write_manifest(path: Path, clips: list[Clip]) -> None:
    """Write the clips in the order of their ids, which does not depend on how they were found."""
    with path.open("w", encoding="utf-8") as file:
        for clip in sorted(clips, key=lambda clip: clip.id):
            row = {name: getattr(clip, name) for name in _CLIP_FIELDS}  # dataclasses.asdict copies deeply, and slowly
            row["origin"] = {name: getattr(clip.origin, name) for name in _ORIGIN_FIELDS}
            file.write(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n")


def read_manifest(path: Path) -> list[Clip]:
    """Read what `write_manifest` wrote.

    Raises:
        UserError: the file is missing or was written by another version of this software.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return [_clip(json.loads(line)) for line in file]
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run the ingest stage first (`dvc repro ingest`)") from None
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise UserError(f"cannot read {path}: {failure}; run the ingest stage again") from failure


def _clip(row: dict[str, object]) -> Clip:
    origin = row.pop("origin")
    if not isinstance(origin, dict) or row.keys() != _CLIP_FIELDS - {"origin"}:
        raise ValueError("a line does not hold the fields of a clip")
    return Clip(origin=interned(Origin(**origin)), **row)  # type: ignore[arg-type]


def tally(clips: Iterable[Clip]) -> dict[str, Any]:
    """Return how many clips, hours and groups there are, and how many of the clips are synthetic."""
    kept = list(clips)
    return {
        "clips": len(kept),
        "hours": sum(clip.samples for clip in kept) / SAMPLE_RATE / 3600,
        "groups": len({clip.origin.group for clip in kept}),
        "synthetic_clips": sum(clip.synthetic for clip in kept),
    }
