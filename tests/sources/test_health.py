import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.corpus.clips import clip, synthetic
from tests.sounds import tone
from wakeword.corpus.manifest import Clip, Rejection
from wakeword.sources.decode import to_int16
from wakeword.sources.health import Summary, decibels, level, metrics, peak, write


def summary(clips: list[Clip]) -> Summary:
    made = Summary()
    for one in clips:
        made.add(one, np.full(10, 100, np.int16))
    return made


def test_levels_of_known_sounds() -> None:
    sine = level(to_int16(tone(1.0, amplitude=0.5).astype(np.float32)))
    assert sine.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert sine.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert sine.full_scale == 0
    square = level(np.array([-32768, 32767] * 50, np.int16))
    assert square.peak_dbfs == 0
    assert square.full_scale == 100
    assert level(np.zeros(5, np.int16)).rms_dbfs == decibels(0) == -120
    assert peak(np.array([-32768, 5], np.int16)) == 32768
    assert peak(np.zeros(0, np.int16)) == 0


def test_counts_are_those_of_hand() -> None:
    clips = [clip(0, "positive", "anna"), clip(1, "positive", "anna"), clip(2, "positive"), clip(3, "negative", "anna")]
    found = metrics(summary(clips), ["hey computer", "stop it"])
    assert found["total"] == {"clips": 4, "hours": 4 / 3600, "groups": 2, "synthetic_clips": 0}
    assert found["label"]["positive"]["clips"] == 3
    assert found["label"]["positive"]["groups"] == 2
    assert found["label"]["positive"]["clips_of_unknown_group"] == 1
    assert found["label"]["positive"]["seconds"] == dict.fromkeys(("min", "p05", "p50", "p95", "max"), 1.0)
    assert found["phrase"]["stop it"]["clips"] == 0
    assert found["source"]["test"]["negative"]["clips"] == 1
    assert found["licence"]["CC0-1.0"]["positive"]["clips"] == 3


def test_the_report_is_the_same_bytes_twice_and_takes_any_name(tmp_path: Path) -> None:
    odd = clip(1, "negative")
    odd = replace(odd, origin=replace(odd.origin, source="$x^ 日本 \\frac_%"))
    made = summary([clip(0, "positive", phrase="$\\hey"), odd, clip(2, "noise"), clip(3, "rir")])
    made.rejected.append(Rejection("a\\xe9.wav", "bad"))
    made.duplicates.append(("b", "a"))
    for name in ("one", "two"):
        write(tmp_path / name, made, ["$\\hey"])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    content = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert content["rejected"] == [{"path": "a\\xe9.wav", "reason": "bad"}]
    assert content["duplicates"] == [{"path": "b", "repeats": "a"}]


def test_recordings_that_cut_the_phrase_off_or_say_more_are_told() -> None:
    clips = [clip(number, "positive", "anna") for number in range(7)]
    whole = clips[0].active_end - clips[0].active_start
    ends = [int(factor * whole) + clips[0].active_start for factor in (1, 1, 1, 1, 0.6, 0.4, 2.1)]
    cut = [replace(one, samples=3 * whole, active_end=end) for one, end in zip(clips, ends, strict=True)]
    (told,) = [one for one in summary(cut).all_warnings(["hey computer"]) if "cut off" in one]
    assert "in 2 recordings of 'hey computer'" in told
    assert cut[5].origin.path in told and cut[6].origin.path in told
    assert not any("cut off" in one for one in summary(cut[:5]).all_warnings(["hey computer"]))


def test_a_phrase_that_says_another_is_told() -> None:
    made = summary([clip(number, "positive", "anna") for number in range(3)])
    (told,) = [one for one in made.all_warnings(["hey computer", "Computer", "lamp"]) if "train a model" in one]
    assert "who says 'hey computer' says 'Computer' too" in told


def test_a_phrase_of_few_phonemes_is_told() -> None:
    short, long = clip(0, "positive", phrase="athena"), clip(1, "positive", phrase="alexa")
    short = replace(short, origin=replace(short.origin, phonemes="a θ i n ə"))
    long = replace(long, origin=replace(long.origin, phonemes="ɐ l ɛ k s ə"))
    found = metrics(summary([clip(2, "positive", phrase="athena"), short, long]), ["athena", "alexa"])["warnings"]
    assert [text for text in found if "phoneme" in text] == [
        "'athena' has only 5 phonemes (a θ i n ə), so that much else sounds like it; take a longer phrase, such as one "
        "more word before it, or record people who say it"
    ]


def test_people_who_say_nothing_but_the_phrase_are_told() -> None:
    def told(clips: list[Clip]) -> bool:
        return any("people always say it" in one for one in summary(clips).all_warnings(["hey computer"]))

    said = [clip(number, "positive", "anna") for number in range(3)]
    machine = synthetic(clip(10, "negative", "espeak"))
    assert told([*said, machine])
    assert not told([*said, machine, clip(11, "negative", "anna")])
    assert not told([synthetic(one) for one in [*said, machine]])
    assert not told(said)  # "there is no negative clip" says more


def test_clipping_and_narrow_band_are_told() -> None:
    made = Summary()
    made.add(replace(clip(0, "positive", "anna"), origin_rate=8000), np.full(100, 32767, np.int16))
    told = "\n".join(made.all_warnings(["hey computer"]))
    assert "1 of 1 positive clips are clipped" in told
    assert "below 16 kHz" in told
