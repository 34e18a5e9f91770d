"""Cutting training windows out of streams: which frames must fire, which must not, which do not count."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wakeword.base.errors import UserError
from wakeword.features.frontend import FRAME_MS
from wakeword.features.store import Segment, Stream, StreamSet
from wakeword.training.config import BatchConfig, LossConfig

_MOST_OFTEN = 10.0  # a recording of the phrase is drawn for each time that a synthetic utterance is


@dataclass(frozen=True)
class Place:
    """A moment that a window is laid around: when a clip ends, or a false alarm."""

    stream: Stream
    time_s: float


@dataclass(frozen=True)
class Batch:
    """Windows for one training step.

    Attributes:
        features: `(size, frames, mels)` float32 log-mel frames, whole windows of real stream.
        positive, negative: `(size, scores, phrases)` bool; see `wakeword.training.losses`.
    """

    features: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


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
        keywords = self._ends(lambda segment: segment.phrase is not None)
        if not keywords:
            raise UserError(
                "no training stream holds a wake phrase that fits a window; raise streams.train_hours or "
                "streams.keyword_share, or lower train.batches.window_s"
            )
        self._keywords = _pools(keywords, batches.real_share)
        self._mined: list[Place] = []
        self._mined_share = 0.0
        self._hard = [place for place, _ in self._ends(lambda segment: segment.label == "hard_negative")]

    def batch(self, step: int) -> Batch:
        """Return the batch of a training step."""
        rng = np.random.default_rng([self.seed, 7, step])
        size = self.config.size
        windows = [self._keyword_window(rng) for _ in range(round(size * self.config.positive_share))]
        if self._hard:
            hard = round(size * self.config.hard_negative_share)
            windows += [self._window_around(self._hard, rng) for _ in range(hard)]
        if self._mined:
            # Rounded one by one, the shares may come to more than the batch.
            mined = min(round(size * self._mined_share), size - len(windows))
            windows += [self._window_around(self._mined, rng) for _ in range(mined)]
        windows += [self._any_window(rng) for _ in range(size - len(windows))]
        masks = [self._masks(stream, first) for stream, first in windows]
        features = [self.streams.window(stream, first, self.window) for stream, first in windows]
        return Batch(
            np.stack(features).astype(np.float32),
            np.stack([positive for positive, _ in masks]),
            np.stack([negative for _, negative in masks]),
        )

    def feed_back(self, moments: Iterable[tuple[str, float]], share: float) -> None:
        """Lay a share of the windows of all further batches around moments, each a stream's name and a time in it."""
        named = {stream.name: stream for stream in self._long_enough}
        places = [Place(named[name], time_s) for name, time_s in moments if name in named]
        self._mined = [place for place in places if self._room_for(place.stream, place.time_s) is not None]
        self._mined_share = share

    def _ends(self, wanted: Callable[[Segment], bool]) -> list[tuple[Place, Segment]]:
        """Return where the wanted clips end, as far as a window can be laid around that."""
        return [
            (Place(stream, segment.end_s), segment)
            for stream in self._long_enough
            for segment in stream.segments
            if wanted(segment) and self._room_for(stream, segment.end_s) is not None
        ]

    def _keyword_window(self, rng: np.random.Generator) -> tuple[Stream, int]:
        if len(self._keywords) == 1:
            return self._window_around(self._keywords[0].places, rng)
        pool = int(rng.choice(len(self._keywords), p=[pool.share for pool in self._keywords]))
        return self._window_around(self._keywords[pool].places, rng)

    def _window_around(self, places: Sequence[Place], rng: np.random.Generator) -> tuple[Stream, int]:
        place = places[int(rng.integers(len(places)))]
        room = self._room_for(place.stream, place.time_s)
        assert room is not None  # only places that have room are kept
        return place.stream, int(rng.integers(room[0], room[1] + 1))

    def _any_window(self, rng: np.random.Generator) -> tuple[Stream, int]:
        stream = self._long_enough[int(rng.integers(len(self._long_enough)))]
        return stream, int(rng.integers(stream.frames - self.window + 1))

    def _room_for(self, stream: Stream, end_s: float) -> tuple[int, int] | None:
        """Return the first and last window start for which the target of a phrase that ends there can be scored."""
        earliest = int(np.ceil((end_s + self._late) * 1000 / FRAME_MS)) - self.window + 1
        latest = int((end_s - self._early) * 1000 / FRAME_MS) - self._receptive_field
        first, last = max(earliest, 0), min(latest, stream.frames - self.window)
        return (first, last) if first <= last else None

    def _masks(self, stream: Stream, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which scores of a window must fire for the first phrase that ends in it, and which must not."""
        times = first * FRAME_MS / 1000 + self._score_times
        positive = np.zeros((self.scores, self.phrases), dtype=bool)
        negative = np.ones((self.scores, self.phrases), dtype=bool)
        for segment in stream.segments:
            if segment.phrase is None or segment.start_s > times[-1] or segment.end_s + self._tolerance < times[0]:
                continue
            phrase = segment.phrase
            negative[(times >= segment.start_s) & (times <= segment.end_s + self._tolerance), phrase] = False
            start, end = segment.end_s - self._early, segment.end_s + self._late
            # The last score may lie before the window's end by less than a stride.
            whole = times[0] <= start and end <= times[-1] + (self.stride - 1) * FRAME_MS / 1000
            if whole and not positive[:, phrase].any():
                positive[(times >= start) & (times <= end), phrase] = True
        return positive, negative


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
    places: list[Place]


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
        return [_Pool(1.0, [place for place, _ in keywords])]
    pools = []
    for phrase, synthetic in sorted(parts):
        found = parts[phrase, synthetic]
        of_streams = (len(found) + len(parts.get((phrase, not synthetic), []))) / len(keywords)
        of_phrase = 1.0
        if phrase in both:
            real, made = (len({segment.clip for _, segment in parts[phrase, kind]}) for kind in (False, True))
            of_phrase = real_share(real, made) if share == "auto" else share
            of_phrase = 1.0 - of_phrase if synthetic else of_phrase
        pools.append(_Pool(of_streams * of_phrase, [place for place, _ in found]))
    return pools
