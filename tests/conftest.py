"""Settings of all tests."""

import os

# Small tensors are slower on many threads; set before anything loads an OpenMP library.
os.environ.setdefault("OMP_NUM_THREADS", "1")
