"""Cutting training windows out of streams: which frames must fire, which must not, which do not count."""

from dataclasses import dataclass

import numpy as np

from wakeword.base.errors import UserError
from wakeword.features.frontend import FRAME_MS
from wakeword.features.store import Stream, StreamSet
from wakeword.training.config import BatchConfig, LossConfig


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


class WindowSampler:
    """Draws batches of windows; a batch depends on the seed and the step alone.

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
        self._keywords = [
            (stream, segment.end_s)
            for stream in self._long_enough
            for segment in stream.segments
            if segment.phrase is not None and self._room_for(stream, segment.end_s) is not None
        ]
        if not self._keywords:
            raise UserError(
                "no training stream holds a wake phrase that fits a window; raise streams.train_hours or "
                "streams.keyword_share, or lower train.batches.window_s"
            )

    def batch(self, step: int) -> Batch:
        """Return the batch of a training step."""
        rng = np.random.default_rng([self.seed, 7, step])
        size = self.config.size
        chosen = round(size * self.config.positive_share)
        windows = [self._keyword_window(rng) for _ in range(chosen)]
        windows += [self._any_window(rng) for _ in range(size - chosen)]
        masks = [self._masks(stream, first) for stream, first in windows]
        features = [self.streams.features(stream)[first : first + self.window] for stream, first in windows]
        return Batch(
            np.stack(features).astype(np.float32),
            np.stack([positive for positive, _ in masks]),
            np.stack([negative for _, negative in masks]),
        )

    def _keyword_window(self, rng: np.random.Generator) -> tuple[Stream, int]:
        stream, end_s = self._keywords[int(rng.integers(len(self._keywords)))]
        room = self._room_for(stream, end_s)
        assert room is not None  # `_keywords` holds only those that have room
        return stream, int(rng.integers(room[0], room[1] + 1))

    def _any_window(self, rng: np.random.Generator) -> tuple[Stream, int]:
        stream = self._long_enough[int(rng.integers(len(self._long_enough)))]
        return stream, int(rng.integers(stream.frames - self.window + 1))

    def _room_for(self, stream: Stream, end_s: float) -> tuple[int, int] | None:
        """Return the first and last window start that puts all of the phrase's target among the window's scores."""
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
