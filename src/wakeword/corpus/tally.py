"""Counting clips for reports."""

from collections.abc import Iterable
from typing import Any

from wakeword.corpus.manifest import SAMPLE_RATE, Clip


def tally(clips: Iterable[Clip]) -> dict[str, Any]:
    """Return how many clips, hours and groups there are, and how many of the clips are synthetic."""
    kept = list(clips)
    return {
        "clips": len(kept),
        "hours": sum(clip.samples for clip in kept) / SAMPLE_RATE / 3600,
        "groups": len({clip.origin.group for clip in kept}),
        "synthetic_clips": sum(clip.synthetic for clip in kept),
    }
