"""Structured logging and progress: plain lines for people, JSON lines with `WAKEWORD_LOG=json`, a bar on a terminal."""

import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

_FIELDS = "wakeword_fields"
_QUIET_SECONDS = 15.0
_FIGURES_SECONDS = 1.0
_BAR_WITH_FIGURES = "{percentage:3.0f}%|{bar:8}| {n_fmt}/{total_fmt}{unit}{postfix}"


class _Formatter(logging.Formatter):
    def __init__(self, stage: str, as_json: bool) -> None:
        super().__init__()
        self.stage = stage
        self.as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, _FIELDS, {})
        level = record.levelname.lower()
        if self.as_json:
            line = {"time": round(record.created, 3), "stage": self.stage, "level": level}
            return json.dumps(line | {"message": record.getMessage()} | fields, default=str, ensure_ascii=False)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        mark = "" if level == "info" else f"{level}: "
        tail = "".join(f"  {key}={value}" for key, value in fields.items())
        return f"{clock} {self.stage}: {mark}{record.getMessage()}{tail}"


class _TqdmHandler(logging.StreamHandler):
    """Writes above a progress bar that may be showing, instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            super().emit(record)


def setup(stage: str) -> None:
    """Send this process's log to stderr, every line carrying the stage's name."""
    handler = _TqdmHandler(sys.stderr)
    handler.setFormatter(_Formatter(stage, os.environ.get("WAKEWORD_LOG") == "json"))
    logger = logging.getLogger("wakeword")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def quieten(quiet: bool) -> None:
    """Say nothing but what went wrong, where another process says the rest."""
    logging.getLogger("wakeword").setLevel(logging.ERROR if quiet else logging.INFO)


def info(message: str, **fields: Any) -> None:
    logging.getLogger("wakeword").info(message, extra={_FIELDS: fields})


def warning(message: str, **fields: Any) -> None:
    logging.getLogger("wakeword").warning(message, extra={_FIELDS: fields})


def error(message: str, **fields: Any) -> None:
    logging.getLogger("wakeword").error(message, extra={_FIELDS: fields})


def progress(
    items: Iterable[T], total: int, what: str, figures: Callable[[], Mapping[str, Any]] | None = None
) -> Iterator[T]:
    """Yield `items`, showing how far along they are: a bar on a terminal, else a log line every 15 s.

    Args:
        items: anything iterable, consumed once and lazily.
        total: how many items there will be.
        what: the unit in the plural, such as "clips".
        figures: returns what to show beside the progress after the last item, by name, the most important first: a
            narrow terminal cuts off the rest. A bar shows those named `..._s` as hours, minutes and seconds; a line
            has a `left_s` of its own, which another replaces. Called once a second at most, so it may wait for a GPU.
    """
    if not logging.getLogger("wakeword").isEnabledFor(logging.INFO):
        yield from items
    elif sys.stderr.isatty() and os.environ.get("WAKEWORD_LOG") != "json":
        yield from _bar(items, total, what, figures)
    else:
        yield from _lines(items, total, what, figures)


def _bar(items: Iterable[T], total: int, what: str, figures: Callable[[], Mapping[str, Any]] | None) -> Iterator[T]:
    # Where a terminal does not know how wide it is, tqdm would leave nothing of a format with a bar.
    style = _BAR_WITH_FIGURES if figures and os.get_terminal_size(sys.stderr.fileno()).columns else None
    bar = tqdm(items, total=total, unit=f" {what}", file=sys.stderr, leave=False, dynamic_ncols=True, bar_format=style)
    shown = -math.inf
    for item in bar:
        yield item
        if figures and time.monotonic() - shown >= _FIGURES_SECONDS:
            bar.set_postfix_str(", ".join(_beside_bar(name, value) for name, value in figures().items()))
            shown = time.monotonic()


def _beside_bar(name: str, value: Any) -> str:
    if name.endswith("_s"):
        return f"{name.removesuffix('_s')}={tqdm.format_interval(value)}"
    return f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"


def _lines(items: Iterable[T], total: int, what: str, figures: Callable[[], Mapping[str, Any]] | None) -> Iterator[T]:
    said = started = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said >= _QUIET_SECONDS:
            said = now
            rate = done / (now - started)
            pace = {"per_s": round(rate, 1), "left_s": round((total - done) / rate)}
            info(f"{done} of {total} {what}", **pace | dict(figures() if figures else {}))
