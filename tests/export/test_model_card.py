from typing import Any

import pytest

from wakeword.evaluation.metrics import Tally
from wakeword.evaluation.which_phrase import KEY
from wakeword.export.model_card import Card, licence_line, render


def _tally(clips: int, synthetic: int) -> dict[str, Any]:
    return {"clips": clips, "hours": clips / 1000, "groups": 3, "synthetic_clips": synthetic}


@pytest.fixture
def reports() -> dict[str, Any]:
    measured = {**Tally(200, 20, 1, 4.0, (0.1, 0.2, 0.3)).figures(), "conditions": {}}
    best = {"max_fah": 0.5, "frr": 0.05, "frr_interval": [0.028, 0.09], "fah": 0.25, "fah_interval": [0.006, 1.39]}
    return {
        "ingest": {
            "source": {"folder|one": {"positive": _tally(100, 0)}, "espeak-ng": {"positive": _tally(300, 300)}},
            "licence": {"CC-BY-4.0": {"positive": _tally(100, 0)}, "CC0-1.0": {"positive": _tally(300, 300)}},
            "phrase": {"hey computer": _tally(400, 300)},
            "warnings": ["few people speak the phrase"],
        },
        "evaluate": {
            "hey computer": {
                "operating_point": {"target_fah": 0.5, "statement": "as told", "reached": True, "test": measured},
                "frr_at_fah": {"0.5": {**best, "statement": "4 h can't show it"}},
                "slices": {"misses": {"made_by": {"recording": measured}}},
                "clips_fired": {"phrase": {"clips": 200, "fired": 180, "share": 0.9, "share_interval": [0.851, 0.934]}},
            }
        },
        "export": {"phrases": {"hey computer": {"fp32": measured}}},
    }


def _card(reports: dict[str, Any], **changes: Any) -> str:
    values = {
        "phrases": ["hey computer"],
        "language": "en",
        "parameters": 52_481,
        "frame_shift_ms": 20.0,
        "receptive_field_ms": 1735.0,
        "sizes": {"wakeword.onnx": 217_918},
        "licences": ["CC-BY-4.0", "CC0-1.0"],
        "fingerprints": {"data": "abc"},
        **reports,
        **changes,
    }
    return render(Card(**values))


def test_every_rate_stands_with_its_interval_and_its_counts(reports: dict[str, Any]) -> None:
    card = _card(reports)
    # Wilson for 20 of 200 and Garwood for 1 in 4 h, from tables.
    assert "| fp32 | 10.0 % [6.6, 14.9] | 20 of 200 | 0.25 [0.01, 1.39] | 1 | 4.00 |" in card
    assert "| 0.5 | 5.0 % [2.8, 9.0] | 0.25 [0.01, 1.39] | 4 h can't show it |" in card
    assert "200 ms after the phrase's end in the median, within 290 ms in 95 %" in card


def test_phrases_that_are_told_apart_have_a_section_of_their_own(reports: dict[str, Any]) -> None:
    assert "told apart" not in _card(reports)
    row = {"accuracy": 0.9, "accuracy_interval": [0.851, 0.934], "right": 180, "clips": 200}
    which = {"threshold": 0.25, **row, "phrases": {"hey computer": row}, "others": {"noise": row}}
    card = _card({**reports, "evaluate": {**reports["evaluate"], KEY: which}})
    for clips in ("all", "“hey computer”", "a second of noise"):
        assert f"| {clips} | 90.0 % [85.1, 93.4] | 180 | 200 |" in card
    assert "not above\n0.25, which dev clips chose. The policy in the files decides on streams, with" in card


def test_it_says_how_far_the_file_is_from_what_was_trained(reports: dict[str, Any]) -> None:
    reports["export"] |= {
        "clips": {"compared": 200, "largest_difference": 2e-6},
        "streams": {"compared": 9, "largest_difference": 4e-6},
    }
    assert "at most: on 200 clips by 2e-06 and 9 streams by 4e-06." in _card(reports)


def test_data_and_licences_are_listed(reports: dict[str, Any]) -> None:
    card = _card(reports)
    assert "| folder\\|one | positive | 100 | 0.10 | 3 | 0 |" in card
    assert "| CC0-1.0 | positive | 300 | 0.30 | 3 | 300 |" in card
    assert "data `abc`" in card


def test_it_says_how_to_run_the_model(reports: dict[str, Any]) -> None:
    card = _card(reports, sizes={"wakeword.onnx": 217_918, "wakeword.int8.onnx": 92_000})
    assert 'Detector("models/wakeword.onnx")' in card
    assert "`wakeword.int8.onnx`: 92 kB" in card and "`wakeword.onnx`: 218 kB" in card


def test_limits_depend_on_what_was_heard(reports: dict[str, Any]) -> None:
    card = _card(reports)
    assert "- Few people speak the phrase" in card
    assert "synthesizer" not in card and "not reached" not in card and "no known licence" not in card
    assert "sound like “hey computer”" not in card
    alike = {"clips": 40, "fired": 4, "share": 0.1, "share_interval": [0.0396, 0.2305]}
    reports["evaluate"]["hey computer"]["clips_fired"]["similar"] = alike
    said = (
        "Words made up to sound like “hey computer”, heard alone, set it off in 4 of 40 test clips, 10.0 % [4.0, 23.1]."
    )
    assert said in _card(reports)
    made_by = reports["evaluate"]["hey computer"]["slices"]["misses"]["made_by"]
    made_by["synthesizer"] = made_by["recording"]
    assert "In the test “hey computer” is said by synthesizers and people." in _card(reports)
    del made_by["recording"]
    assert "In the test “hey computer” is said by synthesizers alone." in _card(reports)
    reports["ingest"]["phrase"]["hey computer"] = _tally(300, 300)
    reports["evaluate"]["hey computer"]["operating_point"]["reached"] = False
    card = _card(reports, licences=["CC0-1.0", "unknown"])
    assert "Nobody was recorded saying “hey computer”" in card
    assert "were not reached" in card and "no known licence" in card


def test_nothing_to_count_is_said_in_words(reports: dict[str, Any]) -> None:
    reports["evaluate"]["hey computer"]["operating_point"]["test"] = Tally().figures()
    card = _card(reports)
    assert "| fp32 | no keyword | 0 of 0 | no hours | 0 | 0.00 |" in card
    assert "Nothing was detected" in card


def test_int8_has_its_own_row(reports: dict[str, Any]) -> None:
    reports["export"]["phrases"]["hey computer"]["int8"] = Tally(200, 21, 0, 4.0).figures()
    assert "| int8 | 10.5 % [7.0, 15.5] | 21 of 200 | 0.00 [0.00, 0.92] | 0 | 4.00 |" in _card(reports)


def test_licence_line() -> None:
    assert licence_line(["CC0-1.0", "unknown"]) == "trained on data under: CC0-1.0; unknown"


def test_it_says_how_often_there_is_a_score(reports: dict[str, Any]) -> None:
    assert "a score every\n30 ms, each decided by the last 1.74 s" in _card(reports, frame_shift_ms=30)
