"""Structured logging and progress: plain lines for people, JSON lines with `WAKEWORD_LOG=json`, a bar on a terminal."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

_FIELDS = "wakeword_fields"
_QUIET_SECONDS = 15.0


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


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield `items`, showing how far along they are: a bar on a terminal, else a log line every 15 s.

    Args:
        items: anything iterable, consumed once and lazily.
        total: how many items there will be.
        what: the unit in the plural, such as "clips".
    """
    if sys.stderr.isatty() and os.environ.get("WAKEWORD_LOG") != "json":
        yield from tqdm(items, total=total, unit=f" {what}", file=sys.stderr, leave=False, dynamic_ncols=True)
        return
    said = started = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said >= _QUIET_SECONDS:
            said = now
            rate = done / (now - started)
            info(f"{done} of {total} {what}", per_s=round(rate, 1), left_s=round((total - done) / rate))
