"""How a stage ends, and what it says on a terminal and elsewhere."""

import errno
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import time
from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.stage import main

def run():
    for item in log.progress(range(5), 5, "clips"):
        time.sleep(0.15)
    log.info("done", clips=5, share=0.5)
    {ending}

main("train", run)
"""


def run(ending: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(ending=ending)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("ending", "status", "told"),
    [
        ("pass", 0, "train: done  clips=5  share=0.5"),
        ("raise UserError('a.wav is empty; remove it')", 1, "train: error: a.wav is empty; remove it"),
        ("raise KeyboardInterrupt", 130, "train: error: interrupted"),
        (f"raise OSError({errno.ENOSPC}, 'No space left on device')", 1, "No space left on device; free some space"),
    ],
)
def test_every_ending_is_told_without_a_traceback(ending: str, status: int, told: str) -> None:
    result = run(ending)
    assert result.returncode == status and told in result.stderr and "Traceback" not in result.stderr


def test_a_defect_keeps_its_traceback() -> None:
    assert "Traceback" in run("raise KeyError('defect')").stderr


def test_lines_may_be_json() -> None:
    lines = [json.loads(line) for line in run("pass", WAKEWORD_LOG="json").stderr.splitlines()]
    assert lines[-1] | {"time": 0} == {
        "time": 0,
        "stage": "train",
        "level": "info",
        "message": "done",
        "clips": 5,
        "share": 0.5,
    }


def test_a_terminal_shows_a_bar() -> None:
    primary, secondary = pty.openpty()
    termios.tcsetwinsize(secondary, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(ending="pass")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stderr=secondary,
    )
    os.close(secondary)
    shown = b""
    try:
        while chunk := os.read(primary, 4096):
            shown += chunk
    except OSError:  # Linux says so when the other end of a terminal has closed
        pass
    assert process.wait() == 0
    os.close(primary)
    assert b"clips" in shown and b"%|" in shown and b"train: done" in shown
