"""What a command costs.

Wall time, and the peak of the memory that the command and all its children hold at once, each page counted once for
every process that shares it a fair share (PSS), sampled twice a second.
"""

import os
import subprocess
import time
from pathlib import Path

import psutil

_EVERY_S = 0.5


def proportional_bytes(process: psutil.Process) -> int:
    """Return the memory of a process and its descendants, in bytes; shared pages are split among their holders."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss
        except psutil.Error:
            continue  # it ended between the listing and the look
    return total


def measure(command: list[str], folder: Path) -> tuple[int, dict[str, float]]:
    """Run a command in a folder to its end; return its exit status and its cost."""
    started, peak = time.monotonic(), 0
    child = subprocess.Popen(command, cwd=folder)
    process = psutil.Process(child.pid)
    while child.poll() is None:
        try:
            peak = max(peak, proportional_bytes(process))
        except psutil.Error:
            break
        time.sleep(_EVERY_S)
    status = child.wait()
    cost = {
        "wall_s": round(time.monotonic() - started),
        "peak_memory_gib": round(peak / 2**30, 2),
        "cores": len(os.sched_getaffinity(0)),
    }
    return status, cost
