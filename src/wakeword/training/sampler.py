"""Cutting training windows out of streams: which frames must fire, which must not, which do not count."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from wakeword.base.errors import UserError
from wakeword.features.frontend import FRAME_MS
from wakeword.features.store import Segment, Stream, StreamSet
from wakeword.training.config import BatchConfig, LossConfig
from wakeword.training.windows import Features, StreamedFeatures

_MOST_OFTEN = 10.0  # a recording of the phrase is drawn for each time that a synthetic utterance is


@dataclass(frozen=True, slots=True)
class Place:
    """Where windows may be cut: around a moment, when a clip ends or at a false alarm, or anywhere in a stream.

    Attributes:
        stream: its number among those that a window fits into.
        first, last: where a window may begin, in frames of the stream.
    """

    stream: int
    first: int
    last: int


class Places:
    """Places of which each is drawn as often as any other, in arrays."""

    def __init__(self, places: Iterable[Place]) -> None:
        rows = [(place.stream, place.first, place.last) for place in places]
        self._streams, self._first, self._last = np.array(rows, dtype=np.int64).reshape(-1, 3).T

    def __len__(self) -> int:
        return len(self._streams)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw windows: `(count,)` numbers of streams, and `(count,)` the frames of these that they begin with."""
        chosen = rng.integers(len(self), size=count)
        return self._streams[chosen], rng.integers(self._first[chosen], self._last[chosen] + 1)


@dataclass(frozen=True)
class Batch:
    """Windows for one training step.

    Attributes:
        features: `(size, frames, mels)` float32 log-mel frames, whole windows of real stream, where the sampler's
            features lie.
        positive, negative: `(size, scores, phrases)` bool, on the CPU; see `wakeword.training.losses`.
    """

    features: Tensor
    positive: Tensor
    negative: Tensor


def too_long(streams: Sequence[Stream], phrases: Sequence[str], receptive_field: int) -> list[str]:
    """Return a warning for each phrase of which a network does not hear the beginning.

    Args:
        streams: of training.
        receptive_field: of the network, in feature frames.
    """
    told = []
    for index, phrase in enumerate(phrases):
        lengths = [keyword.end_s - keyword.start_s for stream in streams for keyword in stream.keywords(index)]
        usual, seen = float(np.median(lengths)) if lengths else 0.0, receptive_field * FRAME_MS / 1000
        if usual > seen:
            told.append(
                f"'{phrase}' takes {usual:.2f} s (the median of the training streams), but the network sees {seen:.2f} "
                "s: whatever ends like it will set it off. Choose a shorter phrase, or a network that sees more "
                "(docs/architectures.md), with train.batches.window_s to match"
            )
    return told


class WindowSampler:
    """Draws batches of windows; a batch depends on the seed, the step and what was fed back last, and nothing else.

    Args:
        streams: the training streams.
        phrases: number of wake phrases.
        batches: size and shares.
        loss: where a phrase must fire.
        receptive_field, stride: of the network, in feature frames. A window yields the scores whose receptive
            field lies inside it, which is also how the network treats it, so masks and logits line up.
        seed: of the draws.
        features: where those of the streams lie; None to read them from the file.

    Raises:
        UserError: windows are too short for the network, or no training phrase lies where a window can hold it.
    """

    def __init__(
        self,
        streams: StreamSet,
        phrases: int,
        batches: BatchConfig,
        loss: LossConfig,
        receptive_field: int,
        stride: int,
        seed: int,
        features: Features | None = None,
    ) -> None:
        self.streams = streams
        self.phrases = phrases
        self.config = batches
        self.seed = seed
        self.stride = stride
        self.window = round(batches.window_s * 1000 / FRAME_MS)
        self.scores = (self.window - receptive_field) // stride + 1
        self._early, self._late = loss.early_ms / 1000, loss.late_ms / 1000
        self._tolerance = loss.tolerance_ms / 1000
        self._receptive_field = receptive_field
        # Seconds from the window's start to each score.
        self._score_times = (receptive_field + stride * np.arange(self.scores)) * FRAME_MS / 1000
        needed = receptive_field + (loss.early_ms + loss.late_ms) // FRAME_MS + stride
        if self.window < needed:
            raise UserError(
                f"train.batches.window_s is {batches.window_s}, but the network sees {receptive_field * FRAME_MS} ms "
                f"and the phrase's end must fit beside that; set it to at least {needed * FRAME_MS / 1000:.2f}"
            )
        if loss.early_ms + loss.late_ms < stride * FRAME_MS:
            raise UserError(
                f"train.loss.early_ms and late_ms are {loss.early_ms + loss.late_ms} together, but the network scores "
                f"every {stride * FRAME_MS} ms; raise them to at least that, or no score may fall among them"
            )
        self._long_enough = [stream for stream in streams.streams if stream.frames >= self.window]
        self._features = features if features is not None else StreamedFeatures(streams)
        self._first_rows = np.array([stream.first_frame for stream in self._long_enough], dtype=np.int64)
        self._said = _Said.of(self._long_enough)
        keywords = self._ends(lambda segment: segment.phrase is not None)
        if not keywords:
            raise UserError(
                "no training stream holds a wake phrase that fits a window; raise streams.train_hours or "
                "streams.keyword_share, or lower train.batches.window_s"
            )
        self._keywords = _pools(keywords, batches.real_share)
        self._hard = Places(place for place, _ in self._ends(lambda segment: segment.label == "hard_negative"))
        self._mined, self._mined_share = Places([]), 0.0
        self._anywhere = Places(
            Place(number, 0, stream.frames - self.window) for number, stream in enumerate(self._long_enough)
        )

    def batch(self, step: int) -> Batch:
        """Return the batch of a training step."""
        rng = np.random.default_rng([self.seed, 7, step])
        size = self.config.size
        left = size - (phrases := round(size * self.config.positive_share))
        counts = rng.multinomial(phrases, [pool.share for pool in self._keywords]).tolist()
        wanted = list(zip((pool.places for pool in self._keywords), counts, strict=True))
        for places, share in ((self._hard, self.config.hard_negative_share), (self._mined, self._mined_share)):
            # Rounded one by one, the shares may come to more than the batch.
            count = min(round(size * share), left) if places else 0
            wanted.append((places, count))
            left -= count
        drawn = [places.draw(count, rng) for places, count in (*wanted, (self._anywhere, left)) if count]
        numbers, first = (np.concatenate(each) for each in zip(*drawn, strict=True))
        positive, negative = (torch.from_numpy(mask) for mask in self._masks(numbers, first))
        rows = self._first_rows[numbers] + first
        return Batch(self._features.windows(rows, rows + self.window - 1, self.window), positive, negative)

    def feed_back(self, moments: Iterable[tuple[str, float]], share: float) -> None:
        """Lay a share of the windows of all further batches around moments, each a stream's name and a time in it."""
        named = {stream.name: number for number, stream in enumerate(self._long_enough)}
        places = (self._place(named[name], time_s) for name, time_s in moments if name in named)
        self._mined = Places(place for place in places if place is not None)
        self._mined_share = share

    def _ends(self, wanted: Callable[[Segment], bool]) -> list[tuple[Place, Segment]]:
        """Return where the wanted clips end, as far as a window can be laid around that."""
        return [
            (place, segment)
            for number, stream in enumerate(self._long_enough)
            for segment in stream.segments
            if wanted(segment) and (place := self._place(number, segment.end_s)) is not None
        ]

    def _place(self, number: int, end_s: float) -> Place | None:
        """Return where a window may lie so that the target of a phrase that ends there can be scored, if anywhere."""
        earliest = int(np.ceil((end_s + self._late) * 1000 / FRAME_MS)) - self.window + 1
        latest = int((end_s - self._early) * 1000 / FRAME_MS) - self._receptive_field
        first, last = max(earliest, 0), min(latest, self._long_enough[number].frames - self.window)
        return Place(number, first, last) if first <= last else None

    def _masks(self, numbers: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which scores of each window must fire for the first phrase that ends in it, and which must not.

        Args:
            numbers, first: `(size,)`, the streams of the windows and where they begin in them, in frames.
        """
        positive = np.zeros((len(first), self.scores, self.phrases), dtype=bool)
        negative = np.ones_like(positive)
        times = (first * FRAME_MS / 1000)[:, None] + self._score_times
        said = self._said
        # Each window beside each phrase that is said in its stream, of which those count that reach into it.
        counts = said.counts[numbers]
        window = np.repeat(np.arange(len(first)), counts)
        nth = np.arange(len(window)) - np.repeat(np.cumsum(counts) - counts, counts)
        phrase = np.repeat(said.offsets[numbers], counts) + nth
        inside = (said.starts[phrase] <= times[window, -1]) & (said.ends[phrase] + self._tolerance >= times[window, 0])
        window, phrase = window[inside], phrase[inside]
        nth = np.arange(len(window)) - np.searchsorted(window, window)
        for turn in range(nth.max(initial=-1) + 1):  # one phrase of each window in turn
            at, now = window[nth == turn], phrase[nth == turn]
            when, which = times[at], said.phrases[now]
            start, end = said.starts[now, None], said.ends[now, None]
            negative[at, :, which] &= (when < start) | (when > end + self._tolerance)
            early, late = end - self._early, end + self._late
            # The last score may lie before the window's end by less than a stride.
            spare = (self.stride - 1) * FRAME_MS / 1000
            whole = (when[:, :1] <= early) & (late <= when[:, -1:] + spare)
            whole &= ~positive[at, :, which].any(axis=1, keepdims=True)
            # What lies before a short phrase is other sound, however early a score may be.
            positive[at, :, which] |= whole & (when >= np.maximum(early, start)) & (when <= late)
        return positive, negative


@dataclass(frozen=True)
class _Said:
    """When the phrases are said in streams, one stream after the other.

    Attributes:
        offsets, counts: `(streams,)`, the first of each stream's, and how many it has.
        starts, ends: `(said,)` in seconds of the stream.
        phrases: `(said,)` which it is.
    """

    offsets: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    phrases: np.ndarray

    @classmethod
    def of(cls, streams: Sequence[Stream]) -> "_Said":
        said = [[segment for segment in stream.segments if segment.phrase is not None] for stream in streams]
        counts = np.array([len(segments) for segments in said], dtype=np.int64)
        rows = [(segment.start_s, segment.end_s, segment.phrase) for segments in said for segment in segments]
        starts, ends, phrases = np.array(rows, dtype=np.float64).reshape(-1, 3).T
        return cls(np.cumsum(counts) - counts, counts, starts, ends, phrases.astype(np.int64))


def real_share(real: int, synthetic: int) -> float:
    """Return the share of a phrase's windows that its recordings get beside synthetic utterances of it.

    Half, as people are what counts and synthesis is what knows many voices; but few recordings would be learned by
    heart, so that none is drawn more than ten times as often as a synthetic utterance, nor less often than one.

    Args:
        real, synthetic: how many different recordings and utterances there are.
    """
    if not real:
        return 0.0
    often = min(max(1.0, synthetic / real), _MOST_OFTEN)
    return often * real / (often * real + synthetic)


@dataclass(frozen=True)
class _Pool:
    """Places that are drawn from alike, and the share of phrase windows laid around one of them."""

    share: float
    places: Places


def _pools(keywords: list[tuple[Place, Segment]], share: float | Literal["auto"]) -> list[_Pool]:
    """Part the phrases' places into recorded and synthetic ones, where a phrase has both; else all are one pool.

    A phrase gets the share of windows that it has of the streams.
    """
    parts: dict[tuple[int, bool], list[tuple[Place, Segment]]] = {}
    for place, segment in keywords:
        assert segment.phrase is not None
        parts.setdefault((segment.phrase, segment.synthetic), []).append((place, segment))
    both = {phrase for phrase, synthetic in parts if (phrase, not synthetic) in parts}
    if not both:
        return [_Pool(1.0, Places(place for place, _ in keywords))]
    pools = []
    for phrase, synthetic in sorted(parts):
        found = parts[phrase, synthetic]
        of_streams = (len(found) + len(parts.get((phrase, not synthetic), []))) / len(keywords)
        of_phrase = 1.0
        if phrase in both:
            real, made = (len({segment.clip for _, segment in parts[phrase, kind]}) for kind in (False, True))
            of_phrase = real_share(real, made) if share == "auto" else share
            of_phrase = 1.0 - of_phrase if synthetic else of_phrase
        pools.append(_Pool(of_streams * of_phrase, Places(place for place, _ in found)))
    return pools
