"""A line for a terminal: how loud it is, and how close each phrase is to being heard."""

import itertools
import unicodedata

import numpy as np

_QUIETEST_DB = -60.0
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def level_db(chunk: np.ndarray) -> float:
    """Return the mean level of `(samples,)` float in dB of full scale, at least -60 and 0 for a square wave."""
    power = float(np.mean(np.square(chunk, dtype=np.float64))) if len(chunk) else 0.0
    return 10.0 * float(np.log10(max(power, 10.0 ** (_QUIETEST_DB / 10.0))))


def meter(level: float, scores: dict[str, float], columns: int, plain: bool = False) -> str:
    """Return the line.

    Args:
        level: in dB of full scale.
        scores: of each phrase, 0..1.
        columns: most cells of the terminal.
        plain: draw with ASCII alone, for a terminal that has no block characters.
    """
    shares = {"level": (1.0 - level / _QUIETEST_DB, f"{level:4.0f} dB")}
    shares |= {phrase: (score, f"{score:.2f}") for phrase, score in scores.items()}
    texts = sum(_cells(name) + len(value) + 4 for name, (_, value) in shares.items())
    width = min(max((columns - texts) // len(shares), 1), 20)
    parts = [f"{name} {_bar(share, width, plain)} {value}" for name, (share, value) in shares.items()]
    return _cut("  ".join(parts), columns)


def _cells(letters: str) -> int:
    """Return how many cells of a terminal letters take, 2 each for those of Chinese, Japanese and Korean."""
    return sum(map(_width, letters))


def _width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):  # is drawn over the one before, or not at all
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _cut(text: str, cells: int) -> str:
    ends = itertools.accumulate(map(_width, text))
    return "".join(letter for letter, end in zip(text, ends, strict=True) if end <= cells)


def _bar(share: float, width: int, plain: bool) -> str:
    share = min(max(share, 0.0), 1.0)
    if plain:
        return ("#" * round(share * width)).ljust(width, ".")
    whole, part = divmod(round(share * width * 8), 8)
    return (_EIGHTHS[8] * whole + (_EIGHTHS[part] if part else "")).ljust(width)
