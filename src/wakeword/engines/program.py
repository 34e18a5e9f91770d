"""Running a synthesizer that is a program: whether it is there, and what it says of itself or writes."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from wakeword.base.errors import UserError
from wakeword.engines.speaker import KEY, CannotSay

TIMEOUT_S = 120


def require(program: str, packages: str) -> None:
    """Raise UserError unless a program is installed; `packages` are Debian's that bring it."""
    if not shutil.which(program):
        raise UserError(
            f"params.yaml: '{KEY}.{program}' is set, but there is no program `{program}`; install it (on Debian "
            f"`apt-get install {packages}`), or set the key to null"
        )


def ask(command: Sequence[str], question: str = "", home: Path | None = None) -> str:
    """Run a program with `question` as its input and return what it prints; no shell ever reads a word of it.

    Args:
        command: the program and its arguments.
        question: its standard input.
        home: its HOME, where a user's own settings must not change what it does.

    Raises:
        CannotSay: it takes too long, or fails.
    """
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(home or "/nonexistent")}
    try:
        done = subprocess.run(
            [shutil.which(command[0]) or command[0], *command[1:]],
            input=question,
            env=environment,
            timeout=TIMEOUT_S,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotSay(f"{command[0]} gives no sound in {TIMEOUT_S} s") from None
    if done.returncode:
        raise CannotSay(f"{command[0]} fails with status {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.stdout


def read(path: Path) -> tuple[np.ndarray, int]:
    """Return the samples, `(samples,)` int16, of a WAV file that a program has written, and their rate.

    Raises:
        CannotSay: there is no such file, or it is no audio.
    """
    try:
        samples, rate = soundfile.read(path, dtype="int16")
    except (OSError, RuntimeError):
        raise CannotSay("no sound came out") from None
    return samples, rate
