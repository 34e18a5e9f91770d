"""A line for a terminal: how loud it is, and how close each phrase is to being heard."""

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
        columns: most characters.
        plain: draw with ASCII alone, for a terminal that has no block characters.
    """
    shares = {"level": (1.0 - level / _QUIETEST_DB, f"{level:4.0f} dB")}
    shares |= {phrase: (score, f"{score:.2f}") for phrase, score in scores.items()}
    texts = sum(len(name) + len(value) + 4 for name, (_, value) in shares.items())
    width = min(max((columns - texts) // len(shares), 1), 20)
    parts = [f"{name} {_bar(share, width, plain)} {value}" for name, (share, value) in shares.items()]
    return "  ".join(parts)[:columns]


def _bar(share: float, width: int, plain: bool) -> str:
    share = min(max(share, 0.0), 1.0)
    if plain:
        return ("#" * round(share * width)).ljust(width, ".")
    whole, part = divmod(round(share * width * 8), 8)
    return (_EIGHTHS[8] * whole + (_EIGHTHS[part] if part else "")).ljust(width)
