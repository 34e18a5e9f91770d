import unicodedata

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


@pytest.mark.parametrize("columns", [20, 33, 34, 35, 60, 80])
def test_a_line_of_wide_letters_fits_too(columns: int) -> None:
    """Chinese letters take two cells each, a Devanagari vowel sign or virama none."""
    line = meter(-12.3, {"你好小智": 0.5, "नमस्ते": 0.5}, columns)
    wide = sum(unicodedata.east_asian_width(letter) == "W" for letter in line)
    signs = sum(line.count(sign) for sign in "\N{DEVANAGARI SIGN VIRAMA}\N{DEVANAGARI VOWEL SIGN E}")
    assert len(line) + wide - signs <= columns
    whole = meter(-12.3, {"hey": 0.5, "you": 0.5}, 200)
    assert meter(-12.3, {"你好": 0.5, "ते" * 3: 0.5}, 200) == whole.replace("hey", "你好").replace("you", "ते" * 3)
