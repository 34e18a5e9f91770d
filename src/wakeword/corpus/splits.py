"""Which clips are in train, dev and test, as the split stage wrote it."""

from pathlib import Path
from typing import Literal, get_args

from wakeword import files

SplitName = Literal["train", "dev", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


def read_splits(folder: Path) -> dict[SplitName, list[str]]:
    """Return the clip ids of each split, sorted.

    Raises:
        UserError: a file is missing or damaged.
    """
    return {name: files.read_json(folder / f"{name}.json")["clips"] for name in SPLITS}


def write_splits(folder: Path, ids: dict[SplitName, list[str]]) -> None:
    """Write `<folder>/{train,dev,test}.json`, all or none."""
    with files.replacing_folder(folder) as temporary:
        for name in SPLITS:
            files.write_json(temporary / f"{name}.json", {"clips": sorted(ids[name])})
