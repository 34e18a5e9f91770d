"""Results in order whatever the number of workers; a crash or a hang costs one item; nothing outlives the map."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from wakeword.features.frontend import FrontendConfig, log_mel
from wakeword.workers import Crash, count, ordered_map


def square_slowly(value: int) -> int:
    time.sleep(0.02 * (value % 3))
    return value * value


def misbehave(value: int) -> int:
    if value == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if value == 5:
        time.sleep(600)
    if value == 7:
        raise ValueError("seven")
    return value


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    assert list(ordered_map(square_slowly, range(20), workers)) == [value * value for value in range(20)]


def features_of_noise(seed: int) -> str:
    pcm = (np.random.default_rng(seed).standard_normal(16_000 * 60) * 2000).astype(np.int16)
    return hashlib.sha256(log_mel(pcm, FrontendConfig()).tobytes()).hexdigest()


def test_the_number_of_cores_changes_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy shares a matrix product among as many threads as there are cores, and rounds it otherwise."""
    found = set()
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
        found |= set(ordered_map(features_of_noise, [0], 1))
        assert os.environ["OPENBLAS_NUM_THREADS"] == threads
    assert len(found) == 1


def noting(drawn: list[int]) -> Iterator[int]:
    """Yield the numbers below 1000, noting in `drawn` those that were asked for."""
    for value in range(1000):
        drawn.append(value)
        yield value


def test_items_are_drawn_only_a_little_ahead() -> None:
    drawn: list[int] = []
    with closing(ordered_map(square_slowly, noting(drawn), 2)) as results:
        assert next(results) == 0
        assert len(drawn) < 50


def first_after_sixtieth(value: int, folder: Path) -> int:
    """Return the value; that of 0 not before the other worker has come to 60, unless that takes a minute."""
    reached, late = folder / "reached", time.monotonic() + 60.0
    if value == 60:
        reached.touch()
    while value == 0 and not reached.exists() and time.monotonic() < late:
        time.sleep(0.01)
    return value


def test_one_slow_item_keeps_no_worker_idle_while_results_may_wait(tmp_path: Path) -> None:
    drawn: list[int] = []
    with closing(ordered_map(partial(first_after_sixtieth, folder=tmp_path), noting(drawn), 2, ahead=50)) as results:
        assert next(results) == 0
        assert 60 < len(drawn) < 110


def test_a_crash_costs_one_item() -> None:
    results = list(ordered_map(misbehave, [1, 3, 4, 3, 6], 2))
    assert [r if isinstance(r, int) else r.item for r in results] == [1, 3, 4, 3, 6]
    assert all(isinstance(results[index], Crash) and "SIGSEGV" in results[index].reason for index in (1, 3))


def test_a_hang_costs_one_item() -> None:
    # Starting a worker counts too, which on a busy machine takes seconds.
    results = list(ordered_map(misbehave, [5, 1, 2], 1, timeout_s=15.0))
    assert isinstance(results[0], Crash) and "no result after 15 s" in results[0].reason
    assert results[1:] == [1, 2]


def test_an_exception_is_raised_here_and_no_process_is_left() -> None:
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(ValueError, match="seven"):
        list(ordered_map(misbehave, [1, 7, 2], 2))
    after = set(psutil.Process().children(recursive=True)) - before
    assert not [child for child in after if "resource_tracker" not in " ".join(child.cmdline())]


def test_the_number_of_workers_is_what_was_asked_for_or_one_a_core() -> None:
    assert count(3) == 3
    assert count(None) == len(os.sched_getaffinity(0))


def test_workers_do_not_run_the_script_again(tmp_path: Path) -> None:
    """A stage's imports take seconds, and each of its pools would wait for them."""
    script, ran = tmp_path / "script.py", tmp_path / "ran"
    script.write_text(
        f"open({str(ran)!r}, 'a').write('once ')\n"
        "from math import sqrt\n"
        "from wakeword.workers import ordered_map\n"
        "if __name__ == '__main__':\n"
        "    print(list(ordered_map(sqrt, [4.0, 9.0], 2)), __file__)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split("\n")[0] == f"[2.0, 3.0] {script}"
    assert ran.read_text() == "once "


def test_ctrl_c_while_a_worker_starts_is_put_off_until_it_has(tmp_path: Path) -> None:
    """A thread of a library takes the signal that the main thread blocks; the worker was left without its work."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import os, signal, threading, time
from multiprocessing import util
from wakeword.workers import ordered_map

start = util.spawnv_passfds

def start_and_interrupt(path, *others):
    pid = start(path, *others)
    if b"spawn_main" in b" ".join(map(os.fsencode, others[0])):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
    return pid

if __name__ == "__main__":
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    util.spawnv_passfds = start_and_interrupt
    try:
        list(ordered_map(abs, range(3), 1))
    except KeyboardInterrupt:
        print("interrupted")
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "interrupted\n"
    assert done.stderr == ""


def hang_first(value: int) -> int:
    time.sleep(600 if value == 0 else 0.25)
    return value


def test_a_hang_is_ended_while_others_deliver() -> None:
    drawn: list[int] = []
    with closing(ordered_map(hang_first, noting(drawn), 2, timeout_s=5.0, ahead=1000)) as results:
        first = next(results)
    assert isinstance(first, Crash) and "no result after 5 s" in first.reason
    assert len(drawn) < 100
