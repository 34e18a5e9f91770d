"""Fixtures of the tests that run a stage in this process."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def torch_as_it_was() -> Iterator[None]:
    """Take back what a stage sets in torch for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
