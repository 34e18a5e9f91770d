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


def on_terminal(script: str, columns: int = 100) -> str:
    """Return all that a script writes to a terminal until it ends."""
    primary, secondary = pty.openpty()
    termios.tcsetwinsize(secondary, (24, columns))
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, stderr=secondary
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
    return shown.decode()


def test_a_terminal_shows_a_bar() -> None:
    shown = on_terminal(SCRIPT.format(ending="pass"))
    assert "clips" in shown and "%|" in shown and "train: done" in shown


# Five steps in 0.75 s, so that the figures are asked for once; what they were is told at the end.
FIGURES = """
import time
from wakeword.base import log
from wakeword.base.stage import main

asked = []

def figures():
    asked.append(done)
    return {{"left_s": 3725, "loss": 0.123456, "epoch": 2}}

def run():
    global done
    {before}
    for done in log.progress(range(5), 5, "steps", figures):
        time.sleep(0.15)
    log.info("asked", after=asked)

main("train", run)
"""


@pytest.mark.parametrize("columns", [50, 200])
def test_a_bar_shows_figures_which_are_asked_for_now_and_then(columns: int) -> None:
    shown = on_terminal(FIGURES.format(before="pass"), columns)
    assert "20%|" in shown and "1/5 steps, left=1:02:05" in shown
    assert ("loss=0.123, epoch=2" in shown) == (columns == 200)
    assert "train: asked  after=[0]" in shown
    assert all(len(line) <= columns for line in shown.replace("\n", "\r").split("\r") if "steps" in line)


def test_a_terminal_that_does_not_know_its_width_shows_the_figures_all_the_same() -> None:
    assert "left=1:02:05, loss=0.123" in on_terminal(FIGURES.format(before="pass"), columns=0)


def test_lines_tell_the_figures_where_there_is_no_terminal() -> None:
    script = FIGURES.format(before="log._QUIET_SECONDS = 0.4")
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "WAKEWORD_LOG": "json"},
        capture_output=True,
        text=True,
        check=True,
    )
    first, last = (json.loads(line) for line in result.stderr.splitlines())
    assert first["message"] == "3 of 5 steps" and last["after"] == [2]
    # The steps have 0.3 s left; what the figures say of that is taken instead.
    assert {"left_s": 3725, "loss": 0.123456, "epoch": 2}.items() <= first.items()


def test_a_process_that_is_to_be_quiet_shows_no_bar() -> None:
    assert on_terminal(FIGURES.format(before="log.quieten(True)")) == ""
