"""The pictures: whole PNG files, the same bytes twice, for ordinary data and for next to none."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pytest

from wakeword.evaluation.intervals import poisson_rate, proportion
from wakeword.evaluation.plots import (
    DetLine,
    DetPoint,
    Moment,
    Rate,
    plot_det,
    plot_latency,
    plot_moments,
    plot_rates,
    plot_reliability,
    plot_roc,
    plot_score_histogram,
    plot_timeline,
)

RNG = np.random.default_rng(0)
FAH, FRR = np.array([0.0, 0.5, 1.0, 8.0, 55.0]), np.array([0.6, 0.4, 0.41, 0.1, 0.0])
POINT = DetPoint("dev", 0.5, poisson_rate(1, 2.0), 0.4, proportion(40, 100))
EMPTY = np.zeros(0)
SCORES = np.linspace(0, 1, 400) ** 2
PCM = (RNG.normal(size=16_000 * 5) * 900).astype(np.int16)

MOMENT = Moment("miss in $s_1\nwhy", PCM, SCORES[:250], [62.1], [63.0], [(61.0, 62.0)], 60.0)
EARLY = Moment("early", PCM[:160], EMPTY, [], [], [], 0.0)
CURVE = np.array([5, 2, 9]), np.array([0.1, 0.5, 0.97]), np.array([0.0, 0.5, 1.0])
RATES = {"room": [Rate("hall_$1", 0.2, (0.1, 0.4), "4 of 20"), Rate("none", 0.0, (0.0, 0.3), "0 of 8")]}

PLOTS: dict[str, Callable[[Path], None]] = {
    "det": lambda path: plot_det(path, "hey $x_1", [DetLine("dev", FAH, FRR, 100, 2.0)], [POINT]),
    "det of nothing": lambda path: plot_det(
        path, "hey", [DetLine("dev", EMPTY, EMPTY, 3, 0.1)], [DetPoint("dev", 0, poisson_rate(0, 0.1), 1, (0.4, 1.0))]
    ),
    "scores": lambda path: plot_score_histogram(path, "你好", SCORES, 1 - SCORES, 0.7),
    "scores of nothing": lambda path: plot_score_histogram(path, "hey", EMPTY, EMPTY),
    "latency": lambda path: plot_latency(path, "hey", np.array([-0.1, 0.2, 0.2, 0.31])),
    "latency of nothing": lambda path: plot_latency(path, "hey", EMPTY),
    "timeline": lambda path: plot_timeline(
        path, "hey", PCM, 16_000, SCORES[:250], 20, 0.9, 0.7, [62.1, 99.0], [63.0], [(61.0, 62.0)], 60.0
    ),
    "roc": lambda path: plot_roc(path, "hey", SCORES, SCORES**0.2, ["AUC 0.9 [0.8, 1]", "EER 0.1"], 0.1),
    "shares": lambda path: plot_rates(path, "hey $x_1", {**RATES, "voice": RATES["room"] * 3}, "FRR", True),
    "rates": lambda path: plot_rates(path, "hey", {**RATES, "kind": RATES["room"] * 5}, "FAH", False),
    "rates of nothing": lambda path: plot_rates(path, "hey", {f"slice {i}": [] for i in range(9)}, "FAH", False),
    "reliability": lambda path: plot_reliability(path, "hey", {"before": CURVE, "after": CURVE}),
    "reliability of nothing": lambda path: plot_reliability(path, "hey", {}),
    "moments": lambda path: plot_moments(path, "hey $x_1", [MOMENT, EARLY, MOMENT], 16_000, 20, 0.9),
    "moments of nothing": lambda path: plot_moments(path, "hey", [], 16_000, 20, 0.9),
    "timeline of nothing": lambda path: plot_timeline(
        path, "hey", PCM[:320] * 0, 16_000, EMPTY, 20, 0.9, 0.7, [], [], []
    ),
}


@pytest.mark.parametrize("name", PLOTS)
def test_bytes_depend_on_the_data_alone(name: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first.png", tmp_path / "second name.png"
    PLOTS[name](first)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 20}):
        PLOTS[name](second)
    assert first.read_bytes() == second.read_bytes()
    picture = matplotlib.image.imread(first)
    assert picture.shape[0] > 300
    assert picture.shape[1] > 700
    inked = (picture[..., :3].min(axis=2) < 0.9).mean()
    assert 0.005 < inked < 0.5


def test_another_point_makes_another_picture(tmp_path: Path) -> None:
    line = DetLine("dev", FAH, FRR, 100, 2.0)
    plot_det(tmp_path / "with.png", "hey", [line], [POINT])
    plot_det(tmp_path / "without.png", "hey", [line])
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()


@pytest.mark.parametrize(
    ("frr", "upper", "highest"),
    [
        ([0.02, 0.01, 0.0], 0.10, (0.10, 0.2)),  # the point's interval is the highest
        ([0.30, 0.01, 0.0], 0.10, (0.30, 0.4)),  # the curve without a false alarm is
        ([1.00, 0.01, 0.0], 0.10, (1.00, 1.1)),
        ([0.00, 0.00, 0.0], 0.01, (0.05, 0.1)),
    ],
)
def test_a_det_page_ends_just_above_what_is_had_without_a_false_alarm(
    frr: list[float], upper: float, highest: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[float] = []
    monkeypatch.setattr("wakeword.evaluation.plots._save", lambda figure, _: ends.append(figure.axes[0].get_ylim()[1]))
    line = DetLine("test", np.array([0.0, 0.5, 60.0]), np.array(frr), 100, 2.0)
    plot_det(Path("unused.png"), "hey", [line], [DetPoint("test", 0.5, (0.1, 2.0), 0.0, (0.0, upper))])
    assert highest[0] <= ends[0] < highest[1]
