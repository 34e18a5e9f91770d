"""Clips without audio, for tests of what only looks at manifests."""

import hashlib
from dataclasses import replace

from wakeword.corpus.manifest import Clip, Label, Origin

_SAMPLES = 16_000


def clip(number: int, label: Label = "negative", group: str | None = None, phrase: str | None = None) -> Clip:
    """Return clip `number`, one second long, which lies after clip `number - 1` in the shards."""
    if label == "positive":
        phrase = phrase or "hey computer"
    origin = Origin(
        label=label,
        phrase=phrase,
        text=phrase,
        kind="speech",
        group=group or f"group {number}",
        group_known=group is not None,
        source="test",
        licence="CC0-1.0",
        language="en",
        path=f"{label}/{number}.wav",
    )
    return Clip(
        id=hashlib.sha256(str(number).encode()).hexdigest()[:32],
        origin=origin,
        origin_rate=16_000,
        active_start=0,
        active_end=_SAMPLES,
        shard=0,
        offset=number * _SAMPLES,
        samples=_SAMPLES,
    )


def synthetic(one: Clip) -> Clip:
    """Return the same clip, said by a synthesizer."""
    return replace(one, origin=replace(one.origin, synthesis={"engine": "espeak-ng"}))
