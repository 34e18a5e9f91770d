import numpy as np
import pytest

from wakeword.runtime.meter import level_db, meter


def test_levels_of_known_sounds() -> None:
    sine = np.sin(2 * np.pi * np.arange(16_000) / 160).astype(np.float32)
    assert level_db(np.sign(sine + 1e-3)) == pytest.approx(0.0)
    assert level_db(sine) == pytest.approx(-3.01, abs=0.01)
    assert level_db(0.1 * sine) == pytest.approx(-23.01, abs=0.01)
    assert level_db(np.zeros(100, dtype=np.float32)) == level_db(np.zeros(0, dtype=np.float32)) == -60.0


def test_bars_are_as_long_as_their_values() -> None:
    assert meter(-30.0, {"hey": 1.0, "you": 0.25}, 200, plain=True) == (
        "level ##########..........  -30 dB  hey #################### 1.00  you #####............... 0.25"
    )
    assert meter(-60.0, {"hey": 0.4375}, 200) == ("level                       -60 dB  hey ████████▊            0.44")


@pytest.mark.parametrize("columns", [0, 1, 20, 40, 60, 80, 300])
@pytest.mark.parametrize("score", [-1.0, 0.0, 0.999, 1.0, 2.0])
def test_the_line_fits(columns: int, score: float) -> None:
    for plain in (True, False):
        assert len(meter(-12.3, {"hey computer": score, "stop": 0.5}, columns, plain)) <= columns
