"""Dealing the corpus out to train, dev and test: by the hash of the group, so that adding data moves nobody."""

import fnmatch
import hashlib
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wakeword.base import files, log
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import LABELS, Clip, tally
from wakeword.corpus.splits import ENOUGH_RECORDINGS, SPLITS, SplitName, write_splits
from wakeword.splitting.config import SplitConfig

FEW_POSITIVES = 20


def split(clips: list[Clip], config: SplitConfig, phrases: list[str], seed: int, splits: Path, report: Path) -> None:
    """Assign every clip and write `<splits>/{train,dev,test}.json`, then `<report>/metrics.json`.

    Args:
        clips: the whole corpus.
        config: the section `split`.
        phrases: the wake phrases.
        seed: another seed gives another split.
        splits: each file in it holds {"clips": [ids, sorted]}.
        report: counts, hours and groups of each split, by label and phrase, and warnings.

    Raises:
        UserError: a pin is inert, groups or contents overlap, or a split lacks positives of a phrase or negatives.
    """
    by_group = assign({clip.origin.group for clip in clips}, config, seed)
    of_clip = [by_group[clip.origin.group] for clip in log.progress(clips, len(clips), "clips")]
    check_disjoint(clips, of_clip)
    members = {
        name: [clip for clip, member_of in zip(clips, of_clip, strict=True) if member_of == name] for name in SPLITS
    }
    _check_filled(members, phrases)
    warnings = _warnings(members, phrases)
    write_splits(splits, {name: [clip.id for clip in members[name]] for name in SPLITS})
    with files.replacing_folder(report) as temporary:
        files.write_json(temporary / "metrics.json", _metrics(members, phrases) | {"warnings": warnings})
    for warning in warnings:
        log.warning(warning)
    log.info("clips dealt out", **{name: len(members[name]) for name in SPLITS})


def assign(groups: Iterable[str], config: SplitConfig, seed: int) -> dict[str, SplitName]:
    """Return the split of each group. Where a group goes depends on its name, the seed and the config alone.

    Raises:
        UserError: a pin decides over no group.
    """
    decided = dict.fromkeys(config.pins, False)
    assigned: dict[str, SplitName] = {}
    for group in groups:
        for pattern, name in config.pins.items():
            if group == pattern or fnmatch.fnmatchcase(group, pattern):  # a name may hold brackets
                decided[pattern] = True
                assigned[group] = name
                break
        else:
            assigned[group] = _drawn(group, config, seed)
    for pattern, used in decided.items():
        if not used:
            some = ", ".join(f"'{group}'" for group in sorted(assigned)[:3])
            raise UserError(
                f"split.pins: '{pattern}' matches no group, or none that an earlier pin has not taken; correct or "
                f"remove it (groups are called, for example, {some})"
            )
    return assigned


def _drawn(group: str, config: SplitConfig, seed: int) -> SplitName:
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    share = int.from_bytes(digest[:7], "big") / 2**56  # 56 bits are exact in a float, so that it stays below 1
    if share < config.test:
        return "test"
    return "dev" if share < config.test + config.dev else "train"


def check_disjoint(clips: list[Clip], of_clip: list[SplitName]) -> None:
    """Verify that no group and no content is in two splits.

    Content is compared by id, which is its hash, and by where it lies in the shards.

    Args:
        clips: the corpus.
        of_clip: the split of each.

    Raises:
        UserError: something is in two splits, or a clip stands in the manifest twice; both clips are named.
    """
    group_first: dict[str, tuple[Clip, SplitName]] = {}
    content_first: dict[str, tuple[Clip, SplitName]] = {}
    for clip, name in zip(clips, of_clip, strict=True):
        other, other_name = group_first.setdefault(clip.origin.group, (clip, name))
        if other_name != name:
            raise UserError(
                f"group '{clip.origin.group}' is in two splits: {_named(other)} in {other_name}, {_named(clip)} in "
                f"{name}; run the split stage again"
            )
        other, other_name = content_first.setdefault(clip.id, (clip, name))
        if other is not clip:
            raise UserError(
                f"the same content stands in the manifest twice: {_named(other)} ({other_name}) and {_named(clip)} "
                f"({name}); run the ingest stage again"
            )
    in_order = sorted(zip(clips, of_clip, strict=True), key=lambda row: (row[0].shard, row[0].offset))
    for (clip, name), (following, following_name) in itertools.pairwise(in_order):
        if clip.shard == following.shard and clip.offset + clip.samples > following.offset:
            raise UserError(
                f"two clips share samples: {_named(clip)} ({name}) and {_named(following)} ({following_name}); "
                "run the ingest stage again"
            )


def _named(clip: Clip) -> str:
    return f"{clip.origin.path} ({clip.origin.label}, group '{clip.origin.group}')"


def _check_filled(members: dict[SplitName, list[Clip]], phrases: list[str]) -> None:
    everything = [clip for name in SPLITS for clip in members[name]]
    lacking = []
    for name in SPLITS:
        for phrase in phrases:
            if not any(clip.origin.phrase == phrase for clip in members[name]):
                groups = {clip.origin.group for clip in everything if clip.origin.phrase == phrase}
                lacking.append(
                    f"{name} has no positive clip of '{phrase}'; {_remedy(groups, name, 'record more people')}"
                )
        if not any(_is_negative(clip) for clip in members[name]):
            groups = {clip.origin.group for clip in everything if _is_negative(clip)}
            lacking.append(f"{name} has no negative clip; {_remedy(groups, name, 'add other speech')}")
    if lacking:
        raise UserError("\n".join(lacking))


def _remedy(groups: set[str], name: SplitName, more: str) -> str:
    if len(groups) < len(SPLITS):
        are = "is 1 group" if len(groups) == 1 else f"are {len(groups)} groups"
        return f"there {are}, train, dev and test need one each: {more}, or add ingest.synthesis"
    example = sorted(groups)[SPLITS.index(name)]
    share = "lower split.dev or split.test" if name == "train" else f"raise split.{name}"
    return f"{more}, {share}, or pin a group to it in split.pins, such as '{example}': {name}"


def _is_negative(clip: Clip) -> bool:
    return clip.origin.label in ("negative", "hard_negative")


def _warnings(members: dict[SplitName, list[Clip]], phrases: list[str]) -> list[str]:
    found = []
    for label, what in (("noise", "background recording"), ("rir", "room impulse response")):
        empty = [name for name in SPLITS if not any(clip.origin.label == label for clip in members[name])]
        if empty:
            found.append(
                f"no {what} in {', '.join(empty)}; add some to {'background' if label == 'noise' else 'rirs'}/"
            )
    for name in SPLITS:
        for phrase in phrases:
            count = sum(clip.origin.phrase == phrase for clip in members[name])
            if count < FEW_POSITIVES:
                found.append(
                    f"{name} has only {count} positive clips of '{phrase}', so that its figures say little; add more"
                )
        if name != "train":
            found += _few_recordings(name, members[name], phrases)
    found += _missing_recordings(members, phrases)
    found += _synthetic_alone(members["train"], phrases)
    spoken = [clip for name in SPLITS for clip in members[name] if _is_negative(clip) or clip.origin.phrase]
    unknown = sum(not clip.origin.group_known for clip in spoken)
    if unknown:
        found.append(
            f"it is unknown who speaks in {unknown} of {len(spoken)} clips, so that one person may be in train and in "
            "test, and test figures may flatter; name speakers (see the ingest report)"
        )
    return found


def _few_recordings(name: SplitName, clips: list[Clip], phrases: list[str]) -> list[str]:
    """Warn where there are recordings in dev or test, but too few to judge by without synthetic clips beside them."""
    parts = {f"'{phrase}'": [clip for clip in clips if clip.origin.phrase == phrase] for phrase in phrases}
    parts["other speech"] = [clip for clip in clips if clip.origin.label == "negative"]
    found = []
    for what, those in parts.items():
        recorded = sum(not clip.synthetic for clip in those)
        if 0 < recorded < min(ENOUGH_RECORDINGS, len(those)):
            found.append(
                f"{name} has only {recorded} recordings of {what}, so that synthetic ones judge beside them and its "
                f"figures say little of people; add some, until it has {ENOUGH_RECORDINGS}"
            )
    return found


def _missing_recordings(members: dict[SplitName, list[Clip]], phrases: list[str]) -> list[str]:
    """Warn of splits that none of a phrase's recordings is in, as where one person speaks in all of them."""
    found = []
    for phrase in phrases:
        count = {
            name: sum(clip.origin.phrase == phrase and not clip.synthetic for clip in members[name]) for name in SPLITS
        }
        for name in SPLITS:
            if sum(count.values()) and not count[name]:
                alone = "teach it" if name == "train" else "judge there, and its figures say little of people"
                found.append(
                    f"none of {sum(count.values())} recordings of '{phrase}' is in {name}, so that synthetic voices "
                    f"alone {alone}; add recordings of more people, or say in split.pins whose go to {name}"
                )
    return found


def _synthetic_alone(train: list[Clip], phrases: list[str]) -> list[str]:
    """Warn of phrases that synthesizers alone say amid people's other speech: a net may learn who never says them."""
    recorded = [clip for clip in train if not clip.synthetic]
    unsaid = [phrase for phrase in phrases if not any(clip.origin.phrase == phrase for clip in recorded)]
    others = sum(map(_is_negative, recorded))
    if not unsaid or not others:
        return []
    return [
        f"train has {others} recordings of other speech but none of {', '.join(map(repr, unsaid))}, from which a net "
        "may learn that only synthesizers say it; add recordings of it, or pin the others to dev and test in "
        "split.pins (docs/experiments.md, “What did not help a typed phrase”)"
    ]


def _metrics(members: dict[SplitName, list[Clip]], phrases: list[str]) -> dict[str, Any]:
    return {
        name: tally(clips)
        | {
            "label": {label: tally(clip for clip in clips if clip.origin.label == label) for label in LABELS},
            "phrase": {phrase: tally(clip for clip in clips if clip.origin.phrase == phrase) for phrase in phrases},
            "clips_of_unknown_group": sum(not clip.origin.group_known for clip in clips),
        }
        for name, clips in members.items()
    }
