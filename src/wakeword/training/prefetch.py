"""Making the batches of the coming steps while the present one is computed."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Returns what `make` makes of a step, and makes it for the next steps in a thread of its own meanwhile.

    Only that thread ever calls `make`, which must depend on its step alone; then nothing can tell that it ran ahead.

    Args:
        make: makes the batch of any step.
        ahead: steps made in advance.

    Attributes:
        waited_s: seconds that callers have waited for batches so far.
    """

    def __init__(self, make: Callable[[int], T], ahead: int = 2) -> None:
        self.waited_s = 0.0
        self._make, self._ahead = make, ahead
        self._thread = ThreadPoolExecutor(1, "batches")
        self._coming: dict[int, Future[T]] = {}

    def __call__(self, step: int) -> T:
        """Return what is made of a step; an error in making it is raised here."""
        steps = range(step, step + 1 + self._ahead)
        for other in set(self._coming) - set(steps):
            self._coming.pop(other).cancel()
        for other in steps:
            if other not in self._coming:
                self._coming[other] = self._thread.submit(self._make, other)
        started = time.perf_counter()
        try:
            return self._coming.pop(step).result()
        finally:
            self.waited_s += time.perf_counter() - started

    def forget(self) -> None:
        """Drop what was made in advance, because `make` is about to make something else of the same steps.

        Nothing is being made any more when this returns.
        """
        for coming in self._coming.values():
            if not coming.cancel():
                coming.exception()  # waits
        self._coming.clear()
