"""Streams whose scores, keywords and clips are made up, so that every figure can be told in advance."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from wakeword.corpus.manifest import Clip, Origin
from wakeword.features.store import Segment, Stream, StreamSet

SHIFT = 20
HOUR = 360_000  # feature frames of 10 ms


def segment(start_s: float, end_s: float, kind: str, group: str, clip: str, synthetic: bool = True) -> Segment:
    """Return a clip in a stream; one of the kind "phrase" is a keyword."""
    phrase = 0 if kind == "phrase" else None
    label = "positive" if kind == "phrase" else "negative"
    return Segment(start_s, end_s, label, kind, group, clip, phrase, synthetic)


def hour(name: str, condition: str, segments: list[Segment], number: int = 0) -> Stream:
    """Return the `number`-th stream of its set, an hour long."""
    return Stream(name, condition, number * HOUR, HOUR, segments)


def scores(bumps: dict[float, float], seconds: float = 3600.0) -> np.ndarray:
    """Return `(frames, 1)` scores that are 0 but for a fifth of a second, `bumps`: from when, how high."""
    made = np.zeros((round(seconds * 1000 / SHIFT), 1), dtype=np.float32)
    for start, height in bumps.items():
        first = round(start * 1000 / SHIFT)
        made[first : first + 10] = height
    return made


def clip(identity: str, source: str, voice: str | None = None, **changed: object) -> Clip:
    """Return a clip of a corpus, by a synthesizer if it has a voice."""
    synthesis: dict[str, str | int | float] | None = {"engine": source, "voice": voice} if voice else None
    origin = Origin("positive", None, "a text", "phrase", "g", True, source, "CC0-1.0", "en", "path", synthesis)
    made = Clip(identity, origin, 16_000, 0, 16_000, 0, 0, 16_000)
    return replace(made, **changed)  # type: ignore[arg-type]


def with_origin(made: Clip, **changed: object) -> Clip:
    """Return a clip of another origin."""
    return replace(made, origin=replace(made.origin, **changed))  # type: ignore[arg-type]


def with_audio(folder: Path, streams: list[Stream], pcm: np.ndarray) -> StreamSet:
    """Return a set of streams, end to end, whose audio is `pcm`, `(samples,)` int16, in a file."""
    np.save(folder / "audio.npy", pcm)
    audio = np.load(folder / "audio.npy", mmap_mode="r")
    return StreamSet(streams, "front-end", np.zeros((0, 40), dtype=np.float16), audio)
