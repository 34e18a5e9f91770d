"""Scoring audio through the exported graph in onnxruntime, many recordings at once: evaluation of what ships."""

from collections.abc import Iterable, Iterator
from functools import lru_cache, partial

import numpy as np

from wakeword import workers
from wakeword.base.errors import UserError
from wakeword.runtime.scorer import Scorer


def score_audio(graph: bytes, recordings: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Score each recording from a fresh state.

    Args:
        graph: an exported file.
        recordings: each `(samples,)` int16 at 16 kHz.
        count: number of worker processes; the scores do not depend on it.

    Yields:
        For each recording, in order, its scores `(frames, phrases)` float32.

    Raises:
        UserError: a worker died, for which running out of memory is the likely reason.
    """
    for result in workers.ordered_map(partial(_score, graph), recordings, count):
        if isinstance(result, workers.Crash):
            raise UserError(f"scoring {len(result.item)} samples: {result.reason}; lower runtime.workers")
        yield result


def _score(graph: bytes, pcm: np.ndarray) -> np.ndarray:
    scorer = _scorer(graph)
    scorer.reset()
    return scorer.score(pcm)


@lru_cache(maxsize=1)
def _scorer(graph: bytes) -> Scorer:
    return Scorer(graph)
