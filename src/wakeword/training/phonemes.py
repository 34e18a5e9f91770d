"""A second task in training: to tell the phonemes of all that is said, so that speech is learned, not synthesizers.

A network that only ever has to tell one phrase from the rest finds what marks the voices that say it; one that must
tell every phoneme by every voice has to hear what people have in common. After Panchapagesan et al., "Multi-Task
Learning and Weighted Cross-Entropy for DNN-Based Keyword Spotting" (Interspeech 2016), with connectionist temporal
classification (Graves et al., ICML 2006) in place of aligned targets. It counts less and less as training goes on, so
that in the end the phrase alone decides, and the head for it is dropped after training.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from wakeword.base import log
from wakeword.features.frontend import FRAME_MS
from wakeword.features.store import Segment, Stream, StreamSet
from wakeword.models.network import Network
from wakeword.models.streaming import Past, by_score
from wakeword.training.config import PhonemesConfig
from wakeword.training.windows import Features, StreamedFeatures

_AFTER_S = 0.3  # a causal network tells a phoneme some time after it
_FEWEST_TEXTS = 20


@dataclass(frozen=True)
class Utterances:
    """What one training step transcribes.

    Attributes:
        features: `(size, frames, mels)` float32 log-mel frames of the streams, where the sampler's features lie. The
            first score of each row hears what comes before its utterance.
        scores: how many scores of each row belong to its utterance.
        phonemes: those of each row, numbered from 1 on.
    """

    features: Tensor
    scores: list[int]
    phonemes: list[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Place:
    """An utterance in a stream, as a row of `Utterances` has it.

    Attributes:
        first, last: row of `StreamSet.all_features` that it begins with, and the last row of its stream.
        frames, scores: how long it is.
        phonemes: numbered from 1 on.
    """

    first: int
    last: int
    frames: int
    scores: int
    phonemes: tuple[int, ...]


class UtteranceSampler:
    """Draws utterances whose phonemes are known; what it draws depends on the seed and the step alone.

    Args:
        streams: the training streams.
        config: how many a step, and the longest.
        receptive_field, stride: of the network, in feature frames.
        seed: of the draws.
        features: where those of the streams lie; None to read them from the file.

    Attributes:
        weight: of this task's loss, to begin with.
        symbols: what the head tells apart: the phonemes, and the blank of CTC.
        texts: how many different utterances there are.
    """

    def __init__(
        self,
        streams: StreamSet,
        config: PhonemesConfig,
        receptive_field: int,
        stride: int,
        seed: int,
        features: Features | None = None,
    ) -> None:
        self.weight = config.weight
        self._features = features if features is not None else StreamedFeatures(streams)
        self._size, self._seed = config.utterances, seed
        spoken = [
            (stream, segment)
            for stream in streams.streams
            for segment in stream.segments
            if segment.phonemes and segment.end_s - segment.start_s <= config.longest_s
        ]
        known = sorted({phoneme for _, segment in spoken for phoneme in _phonemes(segment)})
        number = {phoneme: index for index, phoneme in enumerate(known, start=1)}
        self.symbols = len(known) + 1
        places = (_place(stream, segment, number, receptive_field, stride) for stream, segment in spoken)
        self._places = [place for place in places if place is not None]
        # Rows are always as long as the longest utterance: for each other shape a GPU would look for kernels anew, for
        # seconds.
        self._frames = max((place.frames for place in self._places), default=0)
        self.texts = len({place.phonemes for place in self._places})

    @classmethod
    def of(
        cls,
        streams: StreamSet,
        config: PhonemesConfig | None,
        network: Network,
        seed: int,
        features: Features | None = None,
    ) -> "UtteranceSampler | None":
        """Return a sampler for a network, or None if none is asked for or too little is known of what is said."""
        if config is None:
            return None
        sampler = cls(streams, config, network.receptive_field, network.stride, seed, features)
        if sampler.texts >= _FEWEST_TEXTS:
            return sampler
        log.warning(
            "too few training clips have a text and a language that espeak-ng knows, so that their phonemes can't be "
            "learned; give your recordings' texts, or set train.phonemes to null",
            different_texts=sampler.texts,
            needed=_FEWEST_TEXTS,
        )
        return None

    def batch(self, step: int) -> Utterances:
        """Return the utterances of a training step."""
        rng = np.random.default_rng([self._seed, 9, step])
        chosen = [self._places[index] for index in rng.integers(len(self._places), size=self._size)]
        first, last = (np.array(rows) for rows in zip(*((place.first, place.last) for place in chosen), strict=True))
        return Utterances(
            self._features.windows(first, last, self._frames),
            [place.scores for place in chosen],
            [place.phonemes for place in chosen],
        )


def _phonemes(segment: Segment) -> list[str]:
    return (segment.phonemes or "").split()


def _place(
    stream: Stream, segment: Segment, number: dict[str, int], receptive_field: int, stride: int
) -> _Place | None:
    """Return where an utterance lies, or None where the stream or its own length leaves no room to tell it."""
    first = int(segment.start_s * 1000 / FRAME_MS) - receptive_field
    frames = math.ceil((segment.end_s + _AFTER_S) * 1000 / FRAME_MS) - first
    phonemes = tuple(number[phoneme] for phoneme in _phonemes(segment))
    scores = (frames - receptive_field) // stride + 1
    # Between two that are the same there must be a blank.
    needed = len(phonemes) + sum(one == other for one, other in pairwise(phonemes))
    if first < 0 or first + frames > stream.frames or scores < needed:
        return None
    row = stream.first_frame
    return _Place(row + first, row + stream.frames - 1, frames, scores, phonemes)


class Transcriber(nn.Module):
    """A network in training, with a second head beside that of the phrases.

    Attributes:
        network: what is kept in the end.
        head: like the network's own, with an output for each symbol.
    """

    def __init__(self, network: Network, symbols: int) -> None:
        super().__init__()
        own = network.body.head
        self.network = network
        self.head = nn.Conv2d(own.in_channels, symbols, (own.kernel_size[0], own.kernel_size[1]))

    def forward(self, windows: Tensor, utterances: Tensor) -> tuple[Tensor, Tensor]:
        """Score windows and transcribe utterances.

        Args:
            windows: `(batch, time, mels)`.
            utterances: `(utterances, time, mels)`.

        Returns:
            Logits `(batch, scores, phrases)` of the windows, and `(utterances, scores, symbols)` of the utterances.
        """
        with _statistics_kept(self.network):
            embedded = self.network.body.embed(self.network.normalize(utterances), Past(None))
        return self.network(windows), by_score(self.head(embedded))


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let batch normalization forget what it sees: streams sound like the windows, not like utterances end to end."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def transcription_loss(logits: Tensor, scores: Sequence[int], phonemes: Sequence[Sequence[int]]) -> Tensor:
    """Compute the loss of telling what is said: the sum over all utterances of their CTC loss a phoneme.

    Args:
        logits: `(utterances, scores, symbols)`, the blank being symbol 0.
        scores, phonemes: of the same utterances; see `Utterances`.

    Returns:
        A scalar on the CPU, where CTC is deterministic.
    """
    chances = functional.log_softmax(logits.float().cpu(), dim=2).transpose(0, 1)
    lengths = torch.tensor([len(each) for each in phonemes])
    told = torch.tensor([phoneme for each in phonemes for phoneme in each])
    losses = functional.ctc_loss(chances, told, torch.tensor(scores), lengths, reduction="none")
    return (losses / lengths).sum()
