"""The choice of a policy on dev, on streams where the right choice is known."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from wakeword.base.errors import UserError
from wakeword.detection.policy import Policy
from wakeword.evaluation.config import EvaluateConfig, Votes
from wakeword.evaluation.metrics import Keyword, ScoredStream, measure
from wakeword.evaluation.operating_point import OperatingPoint, choose, read, write

SHIFT = 20.0
PLAIN = EvaluateConfig(smoothing_frames=[1])


def stream(bumps: dict[int, float], keywords: list[int], seconds: float = 7200.0) -> ScoredStream:
    """A stream of zeros with a score for half a second at the given seconds, and keywords that last a second."""
    scores = np.zeros(round(seconds * 50), dtype=np.float32)
    for second, score in bumps.items():
        scores[second * 50 + 10 : second * 50 + 35] = score
    return ScoredStream(scores, [Keyword(float(k), k + 1.0) for k in keywords], seconds)


def test_the_threshold_is_put_midway_in_the_gap() -> None:
    dev = [stream({100: 0.9, 200: 0.8, 300: 0.4, 400: 0.2}, [100, 200])]
    point = choose("hey", dev, PLAIN, SHIFT)
    assert point.reached
    assert 0.5 <= point.policy.threshold <= 0.7
    assert point.policy == Policy(0.6, 0.48, 1, 1, 1, 1000)
    assert (point.dev["misses"], point.dev["false_alarms"]) == (0, 0)
    assert not point.supported
    assert "cannot show FAH ≤ 0.5" in point.statement


def test_a_false_alarm_is_accepted_if_the_target_allows_it() -> None:
    dev = [stream({100: 0.9, 200: 0.5, 300: 0.7}, [100, 200])]
    assert choose("hey", dev, PLAIN, SHIFT).dev["misses"] == 1
    point = choose("hey", dev, EvaluateConfig(smoothing_frames=[1], target_fah=1.0), SHIFT)
    assert (point.dev["misses"], point.dev["false_alarms"]) == (0, 1)


def test_a_target_out_of_reach_is_said() -> None:
    dev = [stream({100: 0.9, 200: 0.5, 300: 0.95, 350: 0.4, 400: 0.3}, [100, 200, 350], 3600.0)]
    point = choose("hey", dev, PLAIN, SHIFT)
    assert not point.reached
    assert (point.dev["misses"], point.dev["false_alarms"]) == (0, 1)
    assert 0.3 < point.policy.threshold < 0.4
    assert "no threshold reaches FAH ≤ 0.5 on dev: this one has 1" in point.statement


def test_a_model_that_finds_nothing_gets_a_quiet_policy() -> None:
    point = choose("hey", [stream({}, [100])], PLAIN, SHIFT)
    assert (point.reached, point.dev["frr"], point.dev["false_alarms"]) == (False, 1.0, 0)
    assert "no threshold finds a keyword" in point.statement
    point = choose("hey", [stream({300: 0.6}, [100])], PLAIN, SHIFT)
    assert 0.6 < point.policy.threshold < 1.0
    assert point.dev["false_alarms"] == 0 and "this one only keeps quiet" in point.statement
    point = choose("hey", [stream({300: 1.0}, [100])], PLAIN, SHIFT)
    assert point.dev["false_alarms"] == 1 and "this one still fires 1 times by mistake" in point.statement


def test_the_smoothing_and_votes_that_find_most_are_taken() -> None:
    # Short spikes where nothing is said; the keyword is lower, but lasts.
    dev = stream({100: 0.6, 200: 0.6}, [100, 200])
    dev.scores[np.arange(10) * 5000 + 3000] = 1.0
    assert choose("hey", [dev], EvaluateConfig(smoothing_frames=[1, 10]), SHIFT).policy.smoothing_frames == 10
    votes = EvaluateConfig(smoothing_frames=[1], votes=[Votes(), Votes(needed=5, of=6)])
    point = choose("hey", [dev], votes, SHIFT)
    assert (point.policy.votes, point.policy.votes_window) == (5, 6)
    assert (point.dev["misses"], point.dev["false_alarms"]) == (0, 0)


def test_what_is_listed_first_wins_a_tie() -> None:
    dev = [stream({100: 0.9, 200: 0.8}, [100, 200])]
    for order in ([3, 2], [2, 3]):
        assert choose("hey", dev, EvaluateConfig(smoothing_frames=order), SHIFT).policy.smoothing_frames == order[0]


def test_every_knob_of_the_policy_acts() -> None:
    dev = [stream({100: 0.9, 200: 0.8, 201: 0.7, 300: 0.2}, [100, 200])]
    config = EvaluateConfig(smoothing_frames=[1], release_ratio=0.5, refractory_ms=1700)
    policy = choose("hey", dev, config, SHIFT).policy
    assert policy.release == policy.threshold * 0.5
    assert policy.refractory_ms == 1700
    late = [stream({101: 0.9, 300: 0.2}, [100])]  # 220 ms after the end
    assert choose("hey", late, PLAIN, SHIFT).reached
    assert not choose("hey", late, EvaluateConfig(smoothing_frames=[1], tolerance_ms=200), SHIFT).reached


@pytest.mark.parametrize("seed", range(3))
def test_dev_figures_are_those_that_promised_the_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seconds = {int(s): float(rng.random()) for s in rng.choice(np.arange(1, 170), 60, replace=False) * 10}
    keywords = [s for s in seconds if rng.random() < 0.5]
    scores = stream(seconds, keywords, 1800.0)
    config = EvaluateConfig(target_fah=12.0)
    point = choose("hey", [scores], config, SHIFT)
    assert point.reached
    assert point.dev["fah"] <= 12.0
    # No threshold on a fine grid does better within the target, for the smoothing chosen.
    for threshold in np.arange(1, 500) / 500:
        rival = Policy(threshold, threshold * 0.8, point.policy.smoothing_frames)
        truth = measure([scores], rival, SHIFT, 500)
        assert truth.misses >= point.dev["misses"] or truth.false_alarms > 12.0 * truth.hours


def test_dev_without_the_phrase_is_an_error_that_names_it() -> None:
    with pytest.raises(UserError, match="'hey you'"):
        choose("hey you", [stream({}, [])], PLAIN, SHIFT)
    with pytest.raises(UserError, match="'hey you'"):
        choose("hey you", [ScoredStream(np.zeros(50), [Keyword(0, 1)], 1.0)], PLAIN, SHIFT)


def test_points_are_read_back_to_the_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "operating_point.json"
    narrow = [stream({100: 0.9999999, 200: 0.9999998, 300: 0.9999997}, [100, 200])]
    points = {"hé": choose("hé", narrow, PLAIN, SHIFT), "b": choose("b", [stream({9: 1.0}, [9])], PLAIN, SHIFT)}
    assert points["hé"].dev["misses"] == points["hé"].dev["false_alarms"] == 0
    write(path, points)
    before = path.read_bytes()
    assert read(path) == points
    write(path, read(path))
    assert path.read_bytes() == before
    assert isinstance(read(path)["b"], OperatingPoint)


def test_an_unusable_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "operating_point.json"
    with pytest.raises(UserError, match=r"operating_point\.json"):
        read(path)
    for content in ("[]", '{"hey": {"threshold": 0.5}}', '{"hey": 3}'):
        path.write_text(content)
        with pytest.raises(UserError, match=r"operating_point\.json.*evaluate"):
            read(path)
    write(path, {"hey": choose("hey", [stream({9: 0.8}, [9])], PLAIN, SHIFT)})
    path.write_text(path.read_text().replace('"votes": 1', '"votes": 7'))
    with pytest.raises(UserError, match="votes"):
        read(path)


@pytest.mark.parametrize(
    "values",
    [
        {"target_fah": 0.0},
        {"tolerance_ms": -1},
        {"smoothing_frames": []},
        {"smoothing_frames": [0]},
        {"smoothing_frames": [5, 5]},
        {"votes": [{"needed": 3, "of": 2}]},
        {"release_ratio": 1.1},
        {"refractory_ms": -5},
        {"report_fah": [0.5, 0.5]},
        {"report_fah": [100.0]},
        {"max_fah": 0.2},
        {"treshold": 1},
    ],
)
def test_config_refuses_what_makes_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EvaluateConfig.model_validate(values)


def test_config_takes_plain_yaml_values() -> None:
    config = EvaluateConfig.model_validate({"votes": [{"needed": 2, "of": 3}], "report_fah": [1], "target_fah": 1})
    assert config.votes == [Votes(needed=2, of=3)]
    assert config.report_fah == [1.0]
