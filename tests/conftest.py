"""Settings of all tests."""

import os
import signal

import pytest
from hypothesis import settings

# Small tensors are slower on many threads; set before anything loads an OpenMP library.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell without job control starts background jobs with Ctrl-C ignored, and the stages under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
settings.register_profile("any_load", deadline=None)
settings.load_profile("any_load")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what runs whole stages first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.parent.name not in ("pipeline", "stages"))
