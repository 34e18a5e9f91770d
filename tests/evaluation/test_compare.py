"""Two runs compared: what is better, what is noise, and files, folders and revisions to read them from."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wakeword.base.errors import UserError
from wakeword.evaluation import compare as module
from wakeword.evaluation.compare import PUBLISHED, as_markdown, as_text, compare, compare_runs, known_to_one, load
from wakeword.evaluation.outcomes import Outcomes, write_outcomes

VOICES = 40
PAIRS, TOLD = 100, 4  # runs of equal quality, and those that are told apart all the same


def run(seed: int, missed: float, alarms: int = 3, hours: float = 8.0) -> Outcomes:
    """Forty voices that say the phrase five times each; a share of it is missed, some voices more often than others."""
    rng = np.random.default_rng(seed)
    groups = [f"voice {number % VOICES}" for number in range(5 * VOICES)]
    harder = np.random.default_rng(99).uniform(0.5, 1.5, VOICES)
    hit = rng.random(len(groups)) >= missed * harder[[number % VOICES for number in range(len(groups))]]
    sources = [f"source {number}" for number in range(60)]
    said = [sources[number] for number in rng.integers(0, 60, alarms)]
    return Outcomes(
        keys=[("stream", f"{number}.0", f"clip {number}") for number in range(len(groups))],
        groups=groups,
        scores=np.where(hit, 0.9, 0.2),
        hit=hit,
        alarm_groups=[*said, "source 0", "source 1"],
        alarm_scores=np.array([0.5] * alarms + [0.1, 0.1]),
        point_groups=said,
        hours=dict.fromkeys(sources, hours / 60),
    )


def verdicts(a: Outcomes, b: Outcomes) -> dict[str, str]:
    return {each.name: each.verdict for each in compare("hey", a, b).differences}


def test_far_fewer_misses_are_better_and_the_other_way_worse() -> None:
    good, bad = run(1, 0.05), run(2, 0.3)
    assert verdicts(bad, good)["FRR at the operating point"] == "better"
    assert verdicts(good, bad)["FRR at the operating point"] == "worse"
    found = compare("hey", bad, good)
    assert found.sentence.startswith("B is better than A: FRR at the operating point changes by -")
    frr = found.differences[0]
    assert (frr.a, frr.b) == (np.mean(~bad.hit), np.mean(~good.hit))
    assert frr.gap.low <= frr.b - frr.a <= frr.gap.high < 0


def test_far_more_false_alarms_are_worse() -> None:
    found = compare("hey", run(1, 0.1, alarms=2), run(1, 0.1, alarms=40))
    assert [each.verdict for each in found.differences][:2] == ["noise", "worse"]
    assert found.differences[1].b == pytest.approx(5.0)
    # In 8 h, FAH <= 0.5 allows four: all of the first run's, so its threshold may go below every keyword's score, but
    # not the 40 at a score of 0.5, which leaves those keywords that score 0.9.
    second = run(1, 0.1)
    assert (found.differences[2].a, found.differences[2].b) == (0.0, pytest.approx(np.mean(~second.hit)))


def test_the_same_run_is_noise_and_so_is_one_more_miss() -> None:
    one = run(1, 0.1)
    found = compare("hey", one, one)
    assert found.sentence.startswith("It is noise") and all(each.gap == (0, 0) for each in found.differences)
    hit = one.hit.copy()
    hit[np.flatnonzero(hit)[:1]] = False
    assert set(verdicts(one, replace(one, hit=hit)).values()) == {"noise"}


def test_runs_on_streams_of_another_sound_are_not_compared() -> None:
    """As after a change of `streams.conditions`: clips, groups and hours are the same, the noise is not."""
    one = replace(run(1, 0.1), sound="a")
    assert "record" not in compare("hey", one, one).support
    with pytest.raises(UserError, match="tested on different streams"):
        compare("hey", one, replace(one, sound="b"))
    assert "does not record how its streams sounded" in compare("hey", one, run(1, 0.1)).support


def test_a_phrase_that_one_run_lacks_is_told_of() -> None:
    one = run(1, 0.1)
    assert [each.phrase for each in compare_runs({"hey": one, "stop": one}, {"hey": one})] == ["hey"]
    assert known_to_one({"hey": one, "stop": one}, {"hey": one, "go": one}) == [
        "“stop”: only A knows it.",
        "“go”: only B knows it.",
    ]


def test_differences_within_few_groups_do_not_count_however_many_clips_they_have() -> None:
    one = run(1, 0.0, alarms=0)
    few = np.array([group in ("voice 1", "voice 2", "voice 3", "voice 4") for group in one.groups])
    assert verdicts(one, replace(one, hit=~few))["FRR at the operating point"] == "noise"  # 4 of 4: p = 0.125


def test_runs_of_equal_quality_are_seldom_told_apart() -> None:
    told = 0
    for pair in range(PAIRS):
        alarms = np.random.default_rng(pair).poisson(8, 2)
        one, other = (run(1000 + 2 * pair + side, 0.2, int(alarms[side])) for side in (0, 1))
        found = compare("hey", one, other, resamples=400).differences
        told += any(each.verdict != "noise" for each in found)
    assert told == TOLD  # docs/ci.md gives these figures
    assert told <= 0.1 * PAIRS


def test_the_frr_at_a_rate_is_chosen_anew_in_each_resample() -> None:
    one = run(1, 0.1, alarms=0)
    found = compare("hey", one, replace(one, alarm_groups=["source 1"] * 5, alarm_scores=np.full(5, 0.95)))
    frr = found.differences[2]
    assert (frr.a, frr.b) == (0.0, 1.0)  # five in 8 h are too many, and above all keywords
    assert frr.b_interval.low < 0.2  # where source 1 is not drawn, nothing is in the way


def test_other_streams_are_no_comparison() -> None:
    one = run(1, 0.1)
    with pytest.raises(UserError, match="different streams"):
        compare("hey", one, replace(one, keys=[("other", "0.0", "c"), *one.keys[1:]]))
    with pytest.raises(UserError, match="no phrase to compare"):
        compare_runs({"hey": one}, {"stop": one})
    with pytest.raises(UserError, match="nothing to compare"):
        compare("hey", *[replace(one, keys=[], groups=[], scores=np.zeros(0), hit=np.zeros(0, bool))] * 2)


def test_it_reads_files_folders_and_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    write_outcomes(Path(PUBLISHED), {"hey": run(1, 0.3)}, "a")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "one"], check=True)
    write_outcomes(Path(PUBLISHED), {"hey": run(2, 0.05)}, "a")
    write_outcomes(Path("reports/outcomes.csv"), {"hey": run(2, 0.05)}, "a")
    for new in ("metrics", PUBLISHED, "reports"):
        (found,) = compare_runs(load("HEAD"), load(new))
        assert found.sentence.startswith("B is better")
    Path("model.onnx").write_bytes(b"\x08\xff\xfe")
    Path("folder/outcomes.csv").mkdir(parents=True)
    for name, said in (
        ("no-such-thing", "no git revision"),
        (".", "holds neither"),
        ("model.onnx", "model.onnx holds no outcomes"),
        ("folder", "outcomes.csv holds no outcomes"),
    ):
        with pytest.raises(UserError, match=said):
            load(name)
    monkeypatch.setattr(sys, "argv", ["compare", "HEAD", "metrics", "--markdown"])
    module.main()


def test_a_comment_says_it_in_a_sentence_and_a_table() -> None:
    found = compare("hey", run(2, 0.3), run(1, 0.05))
    comment = as_markdown(found, "main", "HEAD")
    assert "**B is better than A:" in comment and "A is `main`, B is `HEAD`" in comment
    table = [line for line in comment.splitlines() if line.startswith("|")]
    assert len(table) == 5 and {line.count("|") for line in table} == {6}
    assert "8 h can show FAH ≤ 0.5" in comment
    assert as_text(found).splitlines()[0] == f"“hey”: {found.sentence}"
