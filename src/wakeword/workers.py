"""Mapping a function over items in worker processes: ordered, bounded in memory, and a crash costs one item.

The standard pools give up as a whole when a worker dies; a synthesizer or a decoder written in C does die.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Crash(Generic[Item]):
    """Stands in for the result of an item whose worker process died or ran out of time."""

    item: Item
    reason: str


def count(requested: int | None) -> int:
    """Return how many workers to use: what was asked for, or one for each core this process may use."""
    return requested or len(os.sched_getaffinity(0))


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, timeout_s: float = 600.0, ahead: int = 8
) -> Generator[Result | Crash[Item], None, None]:
    """Yield `function(item)` for each item, in the items' order, whatever the number of workers.

    Args:
        function: a picklable function of a module (or `functools.partial` of one), not of the script that runs: a
            worker does not import that. An exception that it raises is raised here.
        items: consumed lazily, never far ahead of what was yielded.
        workers: number of processes. They start by `spawn`, die with this process, and ignore Ctrl-C, which
            is this process's to answer.
        timeout_s: an item that takes longer is given up and its worker replaced.
        ahead: results of each worker that may wait in memory for the turn of a slower one. Where a few items take a
            hundred times as long as the others, a low number leaves workers idle.
    """
    pool = [_Worker(function) for _ in range(workers)]
    source = enumerate(iter(items))
    finished: dict[int, Any] = {}
    idle = deque(pool)
    next_out, exhausted = 0, False
    try:
        while True:
            # Results wait for their turn; do not run far ahead of the slowest item.
            while idle and not exhausted and len(finished) < ahead * workers:
                try:
                    index, item = next(source)
                except StopIteration:
                    exhausted = True
                    break
                worker = idle.popleft()
                worker.start(index, item)
            busy = [worker for worker in pool if worker.busy]
            if not busy and not finished:
                return
            if next_out not in finished:
                left_s = min(worker.started for worker in busy) + timeout_s - time.monotonic()
                ready = wait([worker.connection for worker in busy], timeout=max(0.0, left_s))
                now = time.monotonic()
                for worker in busy:
                    if worker.connection in ready:
                        finished[worker.index] = worker.result()
                    elif now >= worker.started + timeout_s:
                        finished[worker.index] = worker.timed_out(timeout_s)
                    else:
                        continue
                    idle.append(worker)
            while next_out in finished:
                result = finished.pop(next_out)
                next_out += 1
                if isinstance(result, _Raised):
                    raise result.error
                yield result
    finally:
        for worker in pool:
            worker.stop()


@dataclass(frozen=True)
class _Raised:
    error: Exception


class _Worker:
    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.busy = False
        self.index = -1
        self.started = 0.0
        self.item: Any = None
        self._launch()

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.function, os.getpid()), daemon=True)
        with _uninterrupted(), _script_unknown(), _one_thread():
            self.process.start()
        theirs.close()

    def start(self, index: int, item: Any) -> None:
        self.busy, self.index, self.item, self.started = True, index, item, time.monotonic()
        with contextlib.suppress(OSError):  # died while idle: the end of its pipe reports that as a crash of this item
            self.connection.send(item)

    def result(self) -> Any:
        self.busy = False
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            return self._replace(f"the worker process died ({name})")

    def timed_out(self, seconds: float) -> Any:
        self.busy = False
        return self._replace(f"no result after {seconds:g} s")

    def _replace(self, reason: str) -> Crash[Any]:
        crash = Crash(self.item, reason)
        self.stop()
        self._launch()
        return crash

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


@contextlib.contextmanager
def _uninterrupted() -> Generator[None, None, None]:
    """Put off Ctrl-C until a process has started: either of the two would print a traceback.

    The new process because it is still importing, so it inherits the blocked signal; or because it waits for what this
    one, interrupted, does not send. Blocking keeps the signal from this thread alone: those of libraries take it.
    """
    resource_tracker.ensure_running()  # starting it later would unblock the signal
    pressed: list[int] = []
    answer = signal.getsignal(signal.SIGINT)
    answered = callable(answer) and threading.current_thread() is threading.main_thread()
    if answered:
        signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if answered:
            signal.signal(signal.SIGINT, answer)
        if pressed:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _script_unknown() -> Generator[None, None, None]:
    """Hide which script runs: each worker would import it first, which takes seconds where a stage imports torch."""
    script = vars(sys.modules["__main__"])
    hidden: dict[str, Any] = {name: script.pop(name) for name in ("__file__", "__spec__") if name in script}
    script["__spec__"] = None
    try:
        yield
    finally:
        script.update(hidden)


@contextlib.contextmanager
def _one_thread() -> Generator[None, None, None]:
    """Let a worker's matrix products use one thread: how they are shared among cores changes how they are rounded.

    NumPy's BLAS reads the number of threads when it is loaded, hence from the environment that the worker starts with.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, function: Callable[[Any], Any], parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            result: Any = function(item)
        except Exception as error:
            result = _Raised(error)
        connection.send(result)


def die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent ends, even by `kill -9`; elsewhere the closed pipe has to do."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)
