"""The worst mistakes: ranked, explained, cut out where they are, the same bytes every time."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.evaluation.made_up import SHIFT, clip, hour, scores, segment, with_audio
from wakeword.detection.policy import Policy
from wakeword.evaluation.errors import (
    Mistake,
    bounds,
    moment,
    smoothed_scores,
    worst_false_alarms,
    worst_misses,
    write_sheet,
)
from wakeword.evaluation.outcomes import event_times, judge_events

POLICY = Policy(0.5, 0.4)
STREAM = hour(
    "one",
    "hall",
    [
        segment(10, 11, "phrase", "anna", "a1"),
        segment(20, 21, "phrase", "bert", "b1"),
        segment(30, 31, "phrase", "carl", "c1"),
        segment(40, 41, "phrase", "dora", "d1"),
        segment(100, 130, "speech", "eve <e>", "e1"),
    ],
)
# a1 is hit; b1 scores 0.3, c1 0.1, d1 0.2 and too late 0.9, which is a false alarm too; so are 0.7 in speech and 0.6.
SCORES = [scores({10.5: 0.9, 20.5: 0.3, 30.5: 0.1, 40.5: 0.2, 41.8: 0.9, 110: 0.7, 3599: 0.6})]
KEYWORDS, ALARMS = judge_events([STREAM], event_times(SCORES, 0, POLICY, SHIFT), 0, 500)
SMOOTHED = smoothed_scores([STREAM], SCORES, 0, POLICY)
CLIPS = {"e1": clip("e1", "reader"), "b1": clip("b1", "espeak-ng", "en")}


def misses(most: int = 9) -> list[Mistake]:
    return worst_misses(KEYWORDS, [-20.0, -21.0, -22.0, -23.0], SMOOTHED, SHIFT, POLICY, 500, CLIPS, most)


def test_false_alarms_by_falling_score() -> None:
    found = worst_false_alarms(ALARMS, SMOOTHED, SHIFT, CLIPS, 9)
    assert [(each.at_s, each.score) for each in found] == [
        (pytest.approx(41.82), pytest.approx(0.9)),
        (pytest.approx(110.02), pytest.approx(0.7)),
        (pytest.approx(3599.02), pytest.approx(0.6)),
    ]
    assert found[0].reasons[-1] == "820 ms after a phrase, or a second event on it"
    assert found[1].reasons == ["score 0.700", "speech", "“a text”", "by eve <e>", "condition hall"]
    assert found[2].clip == "" and found[2].reasons[1] == "background"
    assert worst_false_alarms(ALARMS, SMOOTHED, SHIFT, CLIPS, 1) == found[:1]


def test_misses_by_rising_score_and_why() -> None:
    found = misses()
    assert [(each.group, each.score) for each in found] == [
        ("carl", pytest.approx(0.1)),
        ("dora", pytest.approx(0.2)),
        ("bert", pytest.approx(0.3)),
    ]
    assert found[0].reasons == [
        "score 0.100 stays below the threshold, 0.500",
        "phrase",
        "condition hall",
        "-22 dBFS",
        "1.00 s long",
    ]
    assert "only more than 500 ms after the end" in found[1].reasons[0]
    assert misses(2) == found[:2]


def test_what_is_cut_out_is_what_was_heard_there(tmp_path: Path) -> None:
    pcm = (np.arange(3600 * 16_000) // 16_000).astype(np.int16)  # every sample tells its second
    streams = with_audio(tmp_path, [STREAM], pcm)
    mistakes = [*worst_false_alarms(ALARMS, SMOOTHED, SHIFT, CLIPS, 9), *misses()]
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"a picture")
    for name in ("errors", "again"):
        (tmp_path / name).mkdir()
        write_sheet(tmp_path / name, [("“hey”", picture, mistakes), ("“other”", None, [])], streams)
    files = sorted(path.name for path in (tmp_path / "errors").iterdir())
    assert files == ["0.png", *(f"{number:02d}.wav" for number in range(6)), "index.html"]
    for name in files:
        assert (tmp_path / "errors" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    sound, rate = soundfile.read(tmp_path / "errors/03.wav", dtype="int16")
    assert rate == 16_000 and len(sound) == 5 * rate
    assert {int(second) for second in sound} == {27, 28, 29, 30, 31, 32}  # carl ends at 31
    page = (tmp_path / "errors/index.html").read_text()
    assert re.findall(r'src="([^"]+)"', page) == ["0.png", *files[1:-1]]
    assert "eve &lt;e&gt;" in page and "No mistake was made." in page


def test_the_picture_is_of_the_same_moment(tmp_path: Path) -> None:
    streams = with_audio(tmp_path, [STREAM], np.zeros(3600 * 16_000, dtype=np.int16))
    for mistake in (*misses(), *worst_false_alarms(ALARMS, SMOOTHED, SHIFT, CLIPS, 9)):
        drawn = moment(mistake, streams, SMOOTHED, SHIFT, KEYWORDS, ALARMS)
        start, end = bounds(mistake)
        assert 0 <= start <= mistake.at_s <= end <= STREAM.seconds and end - start == pytest.approx(5)
        assert drawn.start_s == pytest.approx(start, abs=0.02)
        assert len(drawn.pcm) / 16_000 == pytest.approx(len(drawn.scores) * 0.02)
        assert float(drawn.scores.max()) >= mistake.score - 1e-6
        assert len(drawn.keywords) == 4 and len(drawn.false_alarms) == 3


def test_at_the_ends_of_a_stream() -> None:
    short = hour("s", "clean", [])
    assert bounds(Mistake("miss", short, 0.5, 0.0, "g", "c", [])) == (0.0, 5.0)
    assert bounds(Mistake("miss", short, 3600.0, 0.0, "g", "c", [])) == (3595.0, 3600.0)
