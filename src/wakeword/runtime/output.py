"""Standard output that takes file names and phrases of any letters, whatever its encoding."""

import io
import json
import sys
from typing import Any


def take_any_letter() -> None:
    r"""Let standard output write `\xe4` for a letter that its encoding lacks, rather than fail and lose the line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def to_json(values: dict[str, Any], indent: int | None = None) -> str:
    r"""Return JSON for standard output: with `\u00e4` where that lacks a letter, as JSON knows no `\xe4`."""
    text = json.dumps(values, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(values, indent=indent)
    return text
