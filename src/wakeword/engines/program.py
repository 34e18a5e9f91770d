"""Running a synthesizer that is a program: whether it is there, and what it says of itself or writes."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from wakeword.base.errors import UserError
from wakeword.engines.speaker import KEY, CannotSay

TIMEOUT_S = 120


def require(program: str, packages: str, engine: str | None = None) -> None:
    """Raise UserError unless a program is installed, which is that of an engine, or has its name.

    `packages` are Debian's that bring it.
    """
    if not shutil.which(program):
        key = f"{KEY}.{engine or program}"
        raise UserError(
            f"params.yaml: '{key}' is set, but there is no program `{program}`; install it (on Debian "
            f"`apt-get install {packages}`), or set the key to null"
        )


def answer(command: Sequence[str], question: str = "", status: int = 0) -> str:
    """Return what a program prints about itself, given `question` as its input, when it ends with `status`.

    Raises:
        UserError: it ends otherwise.
    """
    try:
        return run(command, question, status=status)
    except CannotSay as failure:
        name = command[0]
        raise UserError(
            f"params.yaml: '{KEY}.{name}' is set, but {failure}; see that `{name}` works, or set the key to null"
        ) from None


def run(command: Sequence[str], question: str = "", home: Path = Path("/nonexistent"), status: int = 0) -> str:
    """Run a program and return what it prints; no shell ever reads a word of it.

    Args:
        command: the program and its arguments.
        question: its standard input.
        home: its HOME; never the user's, whose settings must not change what it does.
        status: with which it is to end.

    Raises:
        CannotSay: it takes too long, or ends otherwise.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(home)}
    try:
        done = subprocess.run(
            command,
            input=question,
            env=environment,
            timeout=TIMEOUT_S,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotSay(f"{command[0]} takes longer than {TIMEOUT_S} s") from None
    if done.returncode != status:
        raise CannotSay(f"{command[0]} ends with status {done.returncode}: {done.stderr.strip()[-200:]}")
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
