"""Which clips are in train, dev and test, as the split stage wrote it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from wakeword.base import files
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Clip

SplitName = Literal["train", "dev", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
ENOUGH_RECORDINGS = 20
"""Of a phrase, or of a label of other sound: from so many on, they alone judge in dev and test."""


def read_splits(folder: Path) -> dict[SplitName, list[str]]:
    """Return the clip ids of each split, sorted.

    Raises:
        UserError: a file is missing or damaged.
    """
    splits: dict[SplitName, list[str]] = {}
    for name in SPLITS:
        path = folder / f"{name}.json"
        content = files.read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("clips"), list):
            raise UserError(f"{path} does not list clips; run `dvc repro split`")
        splits[name] = content["clips"]
    return splits


def judged_by(clips: Sequence[Clip]) -> list[Clip]:
    """Return those clips of dev or test that figures may rest on.

    Where a phrase, or a label of other sound, has enough recordings, its synthetic clips are left out: how a detector
    does on synthetic voices says nothing of people. With fewer, a threshold would hang on a handful of clips.
    """
    recorded = Counter((clip.origin.label, clip.origin.phrase) for clip in clips if not clip.synthetic)
    enough = {of for of, number in recorded.items() if number >= ENOUGH_RECORDINGS}
    return [clip for clip in clips if not clip.synthetic or (clip.origin.label, clip.origin.phrase) not in enough]


def write_splits(folder: Path, ids: dict[SplitName, list[str]]) -> None:
    """Write `<folder>/{train,dev,test}.json`, all or none."""
    with files.replacing_folder(folder) as temporary:
        for name in SPLITS:
            files.write_json(temporary / f"{name}.json", {"clips": sorted(ids[name])})
