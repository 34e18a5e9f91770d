"""Run a stage whole, then in another folder until it ends, killed each time: `kill_at_writes.py STAGE WHOLE KILLED`.

The n-th run in KILLED is killed at its n-th write of a file, in the middle of it or just before the new file takes the
place of the old. Each run is a fork, so that PyTorch is imported once. Prints the exit status of each.
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import dvc.repo.experiments.utils  # noqa: F401
import dvclive  # noqa: F401
import torch._dynamo  # noqa: F401


def kill_at(event: int) -> None:
    """Let this process die at its write of that number, each file counting twice."""
    write: Callable[[Path, bytes], int] = Path.write_bytes
    replace: Callable[[Path, Path], Path] = Path.replace
    left = event

    def due() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    def write_half(path: Path, content: bytes) -> int:
        if due():
            write(path, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, content)

    def replace_not(path: Path, target: Path) -> Path:
        if due():
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    Path.write_bytes, Path.replace = write_half, replace_not  # type: ignore[method-assign,assignment]


def run(stage: str, folder: str, event: int | None) -> int:
    """Run a stage in a fork, killed at a write or not at all, and return its exit status."""
    child = os.fork()
    if not child:
        os.chdir(folder)
        if event is not None:
            kill_at(event)
        runpy.run_path(stage, run_name="__main__")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(stage: str, whole: str, killed: str) -> None:
    runpy.run_path(stage, run_name="imported")
    print(run(stage, whole, None), flush=True)
    for event in range(100):
        status = run(stage, killed, event)
        print(status, flush=True)
        if status != -signal.SIGKILL:
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
