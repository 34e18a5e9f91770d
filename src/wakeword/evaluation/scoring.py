"""Scoring audio through the exported graph in onnxruntime, many recordings at once: evaluation of what ships."""

from collections.abc import Iterable, Iterator
from functools import lru_cache, partial

import numpy as np

from wakeword import workers
from wakeword.base.errors import UserError
from wakeword.evaluation.sound import Span, span_of
from wakeword.features.store import StreamSet
from wakeword.runtime.scorer import Scorer

_BLOCK = 60 * 16_000  # samples read at once
_LONGEST_WAIT_S = 6 * 3600.0  # a stream may be days long, and another program may want the cores


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


def score_streams(graph: bytes, streams: StreamSet, count: int) -> Iterator[np.ndarray]:
    """Score each stream of a set as `score_audio` does, read from its file in blocks: memory is flat in its length.

    Raises:
        UserError: the audio of a stream is missing from the set, or a worker died.
    """
    spans = [span_of(streams, stream) for stream in streams.streams]
    results = workers.ordered_map(partial(_score_span, graph), spans, count, _LONGEST_WAIT_S)
    for stream, result in zip(streams.streams, results, strict=True):
        if isinstance(result, workers.Crash):
            raise UserError(f"scoring stream {stream.name}: {result.reason}; lower runtime.workers")
        yield result


def _score(graph: bytes, pcm: np.ndarray) -> np.ndarray:
    scorer = _scorer(graph)
    scorer.reset()
    return scorer.score(pcm)


def _score_span(graph: bytes, span: Span) -> np.ndarray:
    scorer = _scorer(graph)
    scorer.reset()
    scored = [np.zeros((0, len(scorer.info.phrases)), dtype=np.float32)]
    for first in range(0, span.samples, _BLOCK):
        scored.append(scorer.score(span.read(first, first + _BLOCK)))
    return np.concatenate(scored)


@lru_cache(maxsize=1)
def _scorer(graph: bytes) -> Scorer:
    return Scorer(graph)
