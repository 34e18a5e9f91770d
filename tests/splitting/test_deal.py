import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.clips import clip, synthetic
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Clip
from wakeword.corpus.splits import SPLITS, SplitName, read_splits
from wakeword.splitting.config import SplitConfig
from wakeword.splitting.deal import assign, check_disjoint, split

PHRASES = ["hey computer"]
names = st.lists(st.text(max_size=8), max_size=30, unique=True)


def corpus(groups: int = 60) -> list[Clip]:
    """Two clips of each group, a positive and a negative."""
    return [clip(n, "positive" if n % 2 else "negative", f"speaker={n // 2}") for n in range(2 * groups)]


def run(tmp_path: Path, clips: list[Clip], config: SplitConfig | None = None) -> dict[SplitName, list[str]]:
    config = config or SplitConfig()
    split(clips, config, PHRASES, 1, tmp_path / "splits", tmp_path / "report")
    return read_splits(tmp_path / "splits")


def refusal(tmp_path: Path, clips: list[Clip], config: SplitConfig | None = None) -> str:
    with pytest.raises(UserError) as caught:
        run(tmp_path, clips, config)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


def test_every_clip_is_in_one_split_and_groups_stay_together(tmp_path: Path) -> None:
    clips = corpus()
    found = run(tmp_path, clips)
    assert sorted(id for name in SPLITS for id in found[name]) == sorted(clip.id for clip in clips)
    group_of = {clip.id: clip.origin.group for clip in clips}
    groups = [{group_of[id] for id in found[name]} for name in SPLITS]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 60
    assert all(found[name] == sorted(found[name]) for name in SPLITS)


def test_a_group_goes_where_its_hash_says() -> None:
    config = SplitConfig(dev=0.25, test=0.5)
    for group, found in assign([f"g{n}" for n in range(50)], config, 7).items():
        first = hashlib.sha256(f"7:{group}".encode()).digest()[0]  # 256 steps; the shares are multiples of them
        assert found == ("test" if first < 128 else "dev" if first < 192 else "train")


def test_shares_are_about_as_asked() -> None:
    found = list(assign((str(n) for n in range(20_000)), SplitConfig(dev=0.1, test=0.3), 1).values())
    assert found.count("dev") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert found.count("test") / 20_000 == pytest.approx(0.3, abs=0.01)


@settings(max_examples=40)
@given(names, names, st.integers(0, 2**40))
def test_adding_data_moves_nobody(some: list[str], more: list[str], seed: int) -> None:
    config = SplitConfig()
    before = assign(some, config, seed)
    after = assign([*more, *some], config, seed)
    assert {group: after[group] for group in some} == before


def test_pins_win_and_the_first_that_matches_decides() -> None:
    groups = [f"speaker={name}" for name in ("anna", "bert", "carl")] + ["rir/hall 1", "rir/hall 2"]
    pins: dict[str, SplitName] = {"speaker=anna": "test", "speaker=[a-b]*": "dev", "rir/hall*": "train"}
    found = assign(groups, SplitConfig(pins=pins), 1)
    assert found["speaker=anna"] == "test"
    assert found["speaker=bert"] == "dev"
    assert found["rir/hall 1"] == found["rir/hall 2"] == "train"


def test_a_pin_may_be_the_name_of_a_group_whatever_that_holds() -> None:
    """As files without a speaker are groups of their own, `take [1].wav` is one."""
    pins: dict[str, SplitName] = {"positive/take [1].wav": "test"}
    assert assign(["positive/take [1].wav"], SplitConfig(pins=pins), 1) == {"positive/take [1].wav": "test"}


def voices_and_people() -> list[Clip]:
    """Positives and negatives of 20 voices of one engine, of 4 of another, and of 30 people."""
    groups = [f"espeak-ng:{family}{n}" for family in "mf" for n in range(10)]
    groups += [f"flite:v{n}" for n in range(4)] + [f"keyword/hey/{n:02d}.wav" for n in range(30)]
    return [
        clip(2 * n + positive, "positive" if positive else "negative", group)
        for n, group in enumerate(groups)
        for positive in (0, 1)
    ]


def groups_of(found: dict[SplitName, list[str]], clips: list[Clip]) -> dict[SplitName, set[str]]:
    group_of = {clip.id: clip.origin.group for clip in clips}
    return {name: {group_of[id] for id in found[name]} for name in SPLITS}


def test_an_engine_or_a_family_of_voices_can_be_held_out_for_test(tmp_path: Path) -> None:
    clips = voices_and_people()
    pins: dict[str, SplitName] = {"flite:*": "test", "espeak-ng:f[0-2]": "dev", "espeak-ng:f*": "test"}
    members = groups_of(run(tmp_path, clips, SplitConfig(pins=pins)), clips)
    assert {group for group in members["test"] if "flite" in group} == {f"flite:v{n}" for n in range(4)}
    assert {group for group in members["train"] | members["dev"] if "flite" in group} == set()
    assert {group for group in members["train"] if "espeak-ng:f" in group} == set()
    assert {group for group in members["test"] if "espeak-ng:f" in group} == {f"espeak-ng:f{n}" for n in range(3, 10)}


def test_recordings_of_people_can_be_kept_for_dev_and_test(tmp_path: Path) -> None:
    clips = voices_and_people()
    pins: dict[str, SplitName] = {
        "*:*": "train",
        "keyword/hey/[01]*": "dev",
        "keyword/*": "test",
    }
    members = groups_of(run(tmp_path, clips, SplitConfig(pins=pins)), clips)
    assert not [group for group in members["train"] if group.startswith("keyword")]
    assert len(members["dev"]) == 20 and len(members["test"]) == 10
    assert not [group for group in members["dev"] | members["test"] if ":" in group]


@pytest.mark.parametrize("pins", [{"speaker=nobody": "test"}, {"*": "dev", "speaker=1": "test"}])
def test_a_pin_that_decides_nothing_is_an_error_naming_it(tmp_path: Path, pins: dict[str, SplitName]) -> None:
    message = refusal(tmp_path, corpus(), SplitConfig(pins=pins))
    assert f"'{list(pins)[-1]}'" in message
    assert "'speaker=0'" in message


def test_a_group_or_content_in_two_splits_is_an_error_naming_both() -> None:
    one, two = clip(1, "negative", "anna"), clip(2, "noise", "anna")
    with pytest.raises(UserError, match=r"group 'anna' is in two splits: negative/1.wav .* noise/2.wav .* in test"):
        check_disjoint([one, two], ["train", "test"])
    same = replace(clip(2, "rir", "b"), id=one.id)
    with pytest.raises(UserError, match=r"manifest twice: negative/1.wav .*train.* rir/2.wav .*dev"):
        check_disjoint([one, same], ["train", "dev"])
    overlapping = replace(clip(2, "noise", "b"), offset=one.offset + one.samples - 1)
    with pytest.raises(UserError, match=r"share samples: negative/1.wav .*train.* noise/2.wav .*dev"):
        check_disjoint([overlapping, one], ["dev", "train"])
    check_disjoint([one, clip(2, "noise", "b"), replace(overlapping, shard=1, id="x")], ["train", "dev", "dev"])


def test_a_hand_edited_manifest_is_caught(tmp_path: Path) -> None:
    clips = corpus()
    clips.append(replace(clips[3], origin=replace(clips[3].origin, group="somebody else")))
    assert "stands in the manifest twice" in refusal(tmp_path, clips)


@pytest.mark.parametrize(("positives", "are"), [(1, "is 1 group"), (2, "are 2 groups")])
def test_too_few_positives_fail_with_a_remedy(tmp_path: Path, positives: int, are: str) -> None:
    clips = [clip(n, "positive" if n < positives else "negative", f"g{n}") for n in range(60)]
    message = refusal(tmp_path, clips)
    assert f"no positive clip of 'hey computer'; there {are}" in message
    assert "record more people" in message
    assert "negative clip" not in message


def test_missing_negatives_fail_with_a_remedy(tmp_path: Path) -> None:
    clips = [clip(n, "positive", f"g{n}") for n in range(60)]
    message = refusal(tmp_path, clips)
    assert [line.split(" has ")[0] for line in message.splitlines()] == list(SPLITS)
    assert "no negative clip" in message


def test_an_unlucky_draw_is_mended_by_the_pin_that_the_message_proposes(tmp_path: Path) -> None:
    clips = [clip(n, "positive" if n < 3 else "hard_negative", f"g{n}") for n in range(60)]
    message = refusal(tmp_path, clips, SplitConfig(dev=0.01, test=0.3, pins={"g[3-9]": "dev"}))
    [line] = [line for line in message.splitlines() if line.startswith("dev")]
    assert "such as 'g1': dev" in line
    pins: dict[str, SplitName] = {"g0": "train", "g1": "dev", "g2": "test", "g[3-9]": "dev"}
    found = run(tmp_path, clips, SplitConfig(dev=0.01, test=0.3, pins=pins))
    assert clips[1].id in found["dev"]


def test_the_report_counts_and_warns(tmp_path: Path) -> None:
    clips = [*corpus(), clip(500, "negative"), clip(501, "noise", "n")]
    found = run(tmp_path, clips)
    report = json.loads((tmp_path / "report" / "metrics.json").read_text())
    for name in SPLITS:
        assert report[name]["clips"] == len(found[name])
        positives = [one for one in clips if one.id in found[name] and one.origin.label == "positive"]
        assert report[name]["label"]["positive"]["clips"] == len(positives)
        assert report[name]["phrase"]["hey computer"]["groups"] == len(positives)
        mine = [one for one in clips if one.id in found[name]]
        assert report[name]["groups"] == len({one.origin.group for one in mine})
        assert report[name]["hours"] == pytest.approx(sum(one.seconds for one in mine) / 3600)
    told = "\n".join(report["warnings"])
    assert "no room impulse response in train, dev, test" in told
    assert "no background recording in" in told
    assert "unknown who speaks in 1 of 121" in told
    assert "dev has only" in told


def test_people_who_never_say_the_phrase_are_warned_of(tmp_path: Path) -> None:
    def warned(clips: list[Clip], folder: str) -> bool:
        (tmp_path / folder).mkdir()
        run(tmp_path / folder, clips)
        report = json.loads((tmp_path / folder / "report" / "metrics.json").read_text())
        return any("only synthesizers say it" in told and "'hey computer'" in told for told in report["warnings"])

    people = corpus()
    typed = [synthetic(one) if one.origin.phrase else one for one in people]
    assert warned(typed, "typed phrase, recorded negatives")
    assert not warned(people, "both recorded")
    assert not warned([synthetic(one) for one in people], "both synthetic")


def test_few_recordings_among_many_synthetic_clips_are_warned_of(tmp_path: Path) -> None:
    machines = [synthetic(one) for one in corpus(300)]
    people = [clip(1000 + n, "positive" if n % 2 else "negative", f"speaker=p{n}") for n in range(10)]
    config = SplitConfig(pins={"speaker=p[0-4]": "dev", "speaker=p*": "train"})
    run(tmp_path, [*machines, *people], config)
    told = "\n".join(json.loads((tmp_path / "report" / "metrics.json").read_text())["warnings"])
    assert "dev has only 2 recordings of 'hey computer', so that synthetic ones judge beside them" in told
    assert "dev has only 3 recordings of other speech" in told
    assert "test has only" not in told and "train has only" not in told


def test_one_person_who_speaks_in_all_recordings_is_told_of(tmp_path: Path) -> None:
    machines = [synthetic(one) for one in corpus(300)]
    me = [clip(1000 + number, "positive", "speaker=me") for number in range(40)]
    run(tmp_path, [*machines, *me], SplitConfig(pins={"speaker=me": "dev"}))
    told = "\n".join(json.loads((tmp_path / "report" / "metrics.json").read_text())["warnings"])
    assert "none of 40 recordings of 'hey computer' is in train, so that synthetic voices alone teach it" in told
    assert "none of 40 recordings of 'hey computer' is in test, so that synthetic voices alone judge there" in told
    assert "is in dev" not in told


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train.json is missing"):
        read_splits(tmp_path)
