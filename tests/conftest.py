"""Settings of all tests."""

import os
import signal

from hypothesis import settings

# Small tensors are slower on many threads; set before anything loads an OpenMP library.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell without job control starts background jobs with Ctrl-C ignored, and the stages under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
settings.register_profile("any_load", deadline=None)
settings.load_profile("any_load")
