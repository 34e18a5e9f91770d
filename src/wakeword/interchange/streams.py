"""The streams of the pipeline as another engine's front-end hears them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wakeword import workers
from wakeword.base.errors import UserError
from wakeword.corpus.shards import Corpus
from wakeword.corpus.splits import read_splits
from wakeword.features.store import Stream, StreamSet
from wakeword.streams.assembly import StreamPlan, describe, plan_training, render
from wakeword.streams.config import StreamsConfig

FrontEnd = Callable[[np.ndarray], np.ndarray]


def train_streams(
    corpus: Path,
    splits: Path,
    features: Path,
    phrases: Sequence[str],
    config: StreamsConfig,
    seed: int,
    front_end: FrontEnd,
    count: int,
) -> Iterator[tuple[Stream, np.ndarray]]:
    """Make the training streams again, whose sound featurize does not keep, and yield what is heard of each.

    Args:
        corpus, splits, features: what ingest, split and featurize left.
        phrases, config, seed: as featurize had them.
        front_end: from `(samples,)` int16 to features; picklable.
        count: of worker processes.

    Raises:
        UserError: these are not the streams that featurize made, so that labels would not fit.
    """
    ids = set(read_splits(splits)["train"])
    clips = [clip for clip in Corpus.open(corpus).clips if clip.id in ids]
    plans = plan_training(config, clips, seed)
    if [_heard(describe(plan, phrases)) for plan in plans] != list(
        map(_heard, StreamSet.open(features, "train").streams)
    ):
        raise UserError(
            f"{features} holds training streams of other params or another corpus; run `dvc repro featurize`"
        )
    todo = partial(_rendered, corpus, tuple(phrases), front_end)
    yield from _whole(workers.ordered_map(todo, plans, count))


def judged_streams(features: Path, split: str, front_end: FrontEnd, count: int) -> Iterator[tuple[Stream, np.ndarray]]:
    """Yield each stream of dev or test, whose sound featurize kept in `features`, and what is heard of it."""
    streams = StreamSet.open(features, split)
    recordings = (np.array(streams.audio(stream)) for stream in streams.streams)
    yield from zip(streams.streams, _whole(workers.ordered_map(front_end, recordings, count)), strict=True)


def _rendered(
    corpus: Path, phrases: tuple[str, ...], front_end: FrontEnd, plan: StreamPlan
) -> tuple[Stream, np.ndarray]:
    return describe(plan, phrases), front_end(render(plan, Corpus.open(corpus)))


def _heard(stream: Stream) -> tuple[str, int, list[str]]:
    return stream.name, stream.frames, [segment.clip for segment in stream.segments]


def _whole(results: Any) -> Iterator[Any]:
    for result in results:
        if isinstance(result, workers.Crash):
            raise UserError(f"a stream could not be made: {result.reason}; free some memory or lower runtime.workers")
        yield result
