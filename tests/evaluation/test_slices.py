"""Slices of misses and false alarms, counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.made_up import clip, hour, segment, with_audio
from wakeword.evaluation.intervals import poisson_rate, proportion
from wakeword.evaluation.outcomes import exposure_hours, judge_events
from wakeword.evaluation.slices import MOST_VALUES, Surroundings, alarm_slices, keyword_levels, keyword_slices

STREAMS = [
    hour(
        f"s-{condition}",
        condition,
        [
            segment(10, 10.5, "phrase", "anna", "a1"),
            segment(30, 31.3, "phrase", "person", "p1", synthetic=False),
            segment(100, 136, "speech", "anna", "a2"),
            segment(200, 218, "music", "radio", "r1", synthetic=False),
        ],
        number,
    )
    for number, condition in enumerate(("clean", "noisy", "hall"))
]
AROUND = {"clean": Surroundings(None, False), "noisy": Surroundings(10.0, False), "hall": Surroundings(10.0, True)}
CLIPS = {
    "a1": clip("a1", "espeak-ng", "en-gb"),
    "a2": clip("a2", "espeak-ng", "en-us"),
    "p1": clip("p1", "crowd"),
    "r1": clip("r1", "musan"),
}
# Hits: a1 in clean and noisy, p1 in clean. False alarms: speech in noisy, music twice, nothing, and after a keyword.
EVENTS = [[10.4, 31.0, 205.0], [10.4, 120.0, 205.0, 1000.0], [11.3]]
KEYWORDS, ALARMS = judge_events(STREAMS, EVENTS, 0, 500)


def test_misses_by_slice() -> None:
    found = keyword_slices(KEYWORDS, [-20.0, -33.0, -20.0, -50.0, -10.0, -30.0], CLIPS, AROUND)
    shown = {name: {v: (row["misses"], row["keywords"]) for v, row in rows.items()} for name, rows in found.items()}
    assert shown == {
        "condition": {"clean": (0, 2), "noisy": (1, 2), "hall": (2, 2)},
        "snr_db": {"no noise": (0, 2), "10": (3, 4)},
        "room": {"no room": (1, 4), "room": (2, 2)},
        "made_by": {"synthesizer": (1, 3), "recording": (2, 3)},
        "source": {"espeak-ng": (1, 3), "crowd": (2, 3)},
        "voice": {"espeak-ng en-gb": (1, 3), "person": (2, 3)},
        "duration_s": {"below 0.6": (1, 3), "1.2 to 1.5": (2, 3)},
        "level_dbfs": {
            "-24 to -18": (0, 2),
            "-36 to -30": (0, 1),
            "below -42": (1, 1),
            "from -18": (1, 1),
            "-30 to -24": (1, 1),
        },
    }
    noisy = found["condition"]["noisy"]
    assert (noisy["frr"], noisy["distinct_keywords"]) == (0.5, 2)
    assert noisy["frr_interval"] == pytest.approx(list(proportion(1, 2)))
    # Three of four, but of two recordings only: the interval is that of two trials.
    assert found["snr_db"]["10"]["frr_interval"] == pytest.approx(list(proportion(1.5, 2)))


def test_false_alarms_by_slice() -> None:
    found = alarm_slices(STREAMS, 0, ALARMS, CLIPS, AROUND)
    counts = {name: {v: row["false_alarms"] for v, row in rows.items()} for name, rows in found.items()}
    assert counts == {
        "condition": {"clean": 1, "noisy": 3, "hall": 1},
        "snr_db": {"no noise": 1, "10": 4},
        "room": {"no room": 4, "room": 1},
        "kind": {"music": 2, "speech": 1, "background": 1, "after the phrase": 1},
        "made_by": {"recording": 2, "synthesizer": 1, "background": 1, "after the phrase": 1},
        "source": {"musan": 2, "espeak-ng": 1, "background": 1, "after the phrase": 1},
    }
    music = found["kind"]["music"]
    assert music["hours"] == pytest.approx(3 * 18 / 3600) and music["fah"] == pytest.approx(2 / music["hours"])
    assert music["fah_interval"] == pytest.approx(list(poisson_rate(2, music["hours"])))
    assert found["kind"]["after the phrase"]["fah"] is None
    total = sum(exposure_hours(STREAMS, 0).values())
    for rows in found.values():
        assert sum(row["hours"] for row in rows.values()) == pytest.approx(total)


def test_unknown_conditions_and_clips_do_without_those_slices() -> None:
    found = keyword_slices(KEYWORDS, [-20.0] * 6, {}, {})
    assert "snr_db" not in found and "room" not in found
    assert set(found["source"]) == {"unknown"} and set(found["voice"]) == {"synthesizer", "person"}
    assert "snr_db" not in alarm_slices(STREAMS, 0, ALARMS, {}, {})


def test_many_values_are_pooled() -> None:
    words = [segment(20 * i, 20 * i + 1, "phrase", "g", f"c{i}") for i in range(40)]
    keywords, _ = judge_events([hour("s", "clean", words)], [[]], 0, 500)
    clips = {f"c{i}": clip(f"c{i}", "engine", f"voice {i % 20:02d}") for i in range(40)}
    rows = keyword_slices(keywords, [-20.0] * 40, clips, {})["voice"]
    assert len(rows) == MOST_VALUES + 1 and rows["others"]["keywords"] == 40 - 2 * MOST_VALUES


def test_the_level_is_that_of_the_keyword_alone(tmp_path: Path) -> None:
    pcm = np.zeros(3600 * 16_000, dtype=np.int16)
    pcm[10 * 16_000 : 10 * 16_000 + 8000] = 3277  # a tenth of full scale: -20 dB
    streams = with_audio(tmp_path, STREAMS[:1], pcm)
    assert keyword_levels(streams, KEYWORDS[:2]) == pytest.approx([-20.0, -100.0], abs=0.01)
