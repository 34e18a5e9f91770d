"""One training step's forward and backward pass, shared by training and the learning-rate range test."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from wakeword.features.frontend import FRAME_MS, FrontendConfig
from wakeword.features.store import StreamSet
from wakeword.models.network import Network
from wakeword.training import distributed
from wakeword.training.config import AdamWConfig, BatchConfig, FocalConfig, LossConfig, OptimizerConfig, TrainConfig
from wakeword.training.devices import autocast, precision, to_device
from wakeword.training.distillation import Teacher, distillation_divisors, load_teacher
from wakeword.training.losses import (
    Divisors,
    Shape,
    max_pooling_bce,
    max_pooling_divisors,
    per_frame_bce,
    per_frame_divisors,
    softmax_ce,
    softmax_divisors,
)
from wakeword.training.phonemes import Transcriber, Utterances, UtteranceSampler, transcription_loss
from wakeword.training.prefetch import Prefetch
from wakeword.training.sampler import WindowSampler
from wakeword.training.spec_augment import Changes, draw_changes, spec_augment
from wakeword.training.windows import features_for


@dataclass(frozen=True)
class Inputs:
    """What a training step computes with, on the device that trains.

    Attributes:
        features, positive, negative: of the windows; see `wakeword.training.sampler.Batch`.
        changes: of the windows.
        mixture: the partner of each window and its own share, or None where none are mixed.
        spoken, spoken_changes: what is to be transcribed, and its changes, or None.
    """

    features: Tensor
    positive: Tensor
    negative: Tensor
    changes: Changes
    mixture: tuple[Tensor, Tensor] | None
    spoken: Utterances | None
    spoken_changes: Changes | None


class Objective:
    """Computes the training loss, training augmentation included, of the batch of any step.

    Args:
        sampler: cuts the windows.
        frontend: made the features.
        batches, loss: their parameters.
        device: where the network is.
        dtype: for mixed precision, or None.
        teacher: says what the scores should be, beside the labels; or None.
        utterances: what is to be transcribed beside; or None.
        accumulate: micro-batches that a batch is computed in; a divisor of the batch's size and, where several
            processes share it, of each one's part.

    Attributes:
        negative_weight: weight of other sound against that of the phrases; that of `loss` until it is set.
        progress: how much of the training is done, from 0 to 1; 0 until it is set. Transcribing counts less and less.
    """

    def __init__(
        self,
        sampler: WindowSampler,
        frontend: FrontendConfig,
        batches: BatchConfig,
        loss: LossConfig,
        device: torch.device,
        dtype: torch.dtype | None,
        *,
        teacher: Teacher | None = None,
        utterances: UtteranceSampler | None = None,
        accumulate: int = 1,
    ) -> None:
        if teacher is not None:
            teacher.check_windows(sampler.window, batches, loss)
        self.teacher = teacher
        self.sampler, self.batches, self.device, self.dtype = sampler, batches, device, dtype
        self.accumulate, self.negative_weight = accumulate, loss.negative_weight
        self.utterances, self.progress = utterances, 0.0
        self.coming = Prefetch(self._inputs)
        self.range_hz = frontend.f_min_hz, frontend.f_max_hz
        stretch = max(1, loss.negative_ms // (sampler.stride * FRAME_MS))
        self._loss, self._divisors = _loss_and_divisors(loss, stretch)

    def learner(self, network: Network) -> nn.Module:
        """Return what is to be trained: the network, with a second head where what is said is transcribed."""
        if self.utterances is None:
            return network
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.sampler.seed)
            return Transcriber(network, self.utterances.symbols).to(self.device)

    def __call__(self, network: nn.Module, step: int) -> Tensor:
        """Return the loss, a scalar with gradients, of the batch of `step`: to look at, where `backward` is to train.

        What `learner` gives may be wrapped by `distributed.parallel`. The graphs of all micro-batches are held at once.
        """
        return torch.stack(list(self._micro_losses(network, step))).sum()

    def backward(self, network: nn.Module, step: int, scale: Callable[[Tensor], Tensor] = lambda loss: loss) -> Tensor:
        """Add the gradients of the loss of `step`, scaled, to those of the network, and return the loss, a scalar.

        Each micro-batch is forgotten before the next, which is what saves memory.
        """
        total = torch.zeros((), device=self.device)
        for loss in self._micro_losses(network, step):
            scale(loss).backward()
            total += loss.detach()
        return total

    def _micro_losses(self, network: nn.Module, step: int) -> Iterator[Tensor]:
        """Yield the losses of the micro-batches, which add up to that of the batch, as all are divided by what it is.

        Augmentation is drawn for the whole batch. A micro-batch has one window of `accumulate`, so that all kinds are
        shared out evenly, as `distributed.part` does with it among processes.
        """
        plain = distributed.alone(network)
        inputs = self.coming(step)
        positive, negative, spoken = inputs.positive, inputs.negative, inputs.spoken
        features = spec_augment(inputs.features, plain.mean, plain.silence, inputs.changes)
        utterances = None
        if spoken is not None and inputs.spoken_changes is not None:
            utterances = spec_augment(spoken.features, plain.mean, plain.silence, inputs.spoken_changes)
        weights = None
        if inputs.mixture is not None:
            partner, share = inputs.mixture
            features = mixup(features, partner, share)
            # A mixed window is taken for both of what it is mixed from, each by its share.
            weights = torch.cat([share, 1.0 - share])
            positive, negative = (torch.cat([mask, mask[partner]]) for mask in (positive, negative))
        divisors = self._divisors(positive, negative, weights=weights)
        # Of what mixup doubled, too, these are the rows of the same windows.
        parts = [slice(first, None, self.accumulate) for first in range(self.accumulate)]
        taught = self._taught(plain, [features[rows] for rows in parts])
        taught_divisors = distillation_divisors(torch.cat(taught)) if taught else None
        for index, rows in enumerate(parts):
            with autocast(self.dtype, self.device):
                heard = [features] if utterances is None else [features, utterances]
                told = network(*(distributed.part(each[rows]) for each in heard))
            logits, *said = map(distributed.whole, [told] if utterances is None else told)
            labelled = torch.cat([logits, logits]) if weights is not None else logits
            loss = self._loss(
                labelled,
                positive[rows],
                negative[rows],
                negative_weight=self.negative_weight,
                weights=None if weights is None else weights[rows],
                divisors=divisors,
            )
            if self.teacher is not None:
                loss = self.teacher.blend(loss, logits, taught[index], self.negative_weight, taught_divisors)
            if self.utterances is not None and spoken is not None:
                transcribed = transcription_loss(said[0], spoken.scores[rows], spoken.phonemes[rows])
                weight = self.utterances.weight * (1.0 - self.progress)
                loss = loss + weight / len(spoken.features) * transcribed.to(self.device)
            yield loss

    def _inputs(self, step: int) -> Inputs:
        """Return what a step computes with, brought to the device; nothing here depends on the network."""
        batch, spoken = self.sampler.batch(step), self.utterances.batch(step) if self.utterances is not None else None
        rng = np.random.default_rng([self.sampler.seed, 8, step])
        changes = self._changes(batch.features, rng)
        spoken_changes = self._changes(spoken.features, rng) if spoken is not None else None
        mixture = None
        if self.batches.mixup:
            partner, share = draw_mixup(self.batches.size, self.batches.mixup, rng)
            mixture = to_device(partner, self.device), to_device(share, self.device)
        features, positive, negative = (
            to_device(each, self.device) for each in (batch.features, batch.positive, batch.negative)
        )
        if spoken is not None:
            spoken = replace(spoken, features=to_device(spoken.features, self.device))
        return Inputs(features, positive, negative, changes, mixture, spoken, spoken_changes)

    def _changes(self, features: Tensor, rng: np.random.Generator) -> Changes:
        return draw_changes(features.shape, self.range_hz, self.batches.spec_augment, rng).to(self.device)

    def _taught(self, plain: Network, parts: Iterable[Tensor]) -> list[Tensor]:
        """Return what the teacher says of each micro-batch; nothing if there is none."""
        if self.teacher is None:
            return []
        with autocast(self.dtype, self.device):
            return [self.teacher.scores(features, plain.receptive_field, plain.stride) for features in parts]

    def feed_back(self, moments: Iterable[tuple[str, float]], share: float) -> None:
        """Lay a share of the windows of all further steps around moments; see `WindowSampler.feed_back`."""
        self.coming.forget()  # what was made ahead was made without them
        self.sampler.feed_back(moments, share)

    def input_figures(self, seconds: float) -> dict[str, float]:
        """Return how input kept up in the `seconds` since the last call: they change no result and are for the log.

        The share of the time that steps waited for windows, and the share of blocks of features found in the cache,
        where they are read through it.
        """
        cache = self.sampler.streams.cache
        figures = {"waited_for_windows": self.coming.waited_s / seconds}
        self.coming.waited_s = 0.0
        if cache is not None and (blocks := cache.hits + cache.misses):
            figures["found_in_cache"] = cache.hits / blocks
            cache.hits = cache.misses = 0
        return figures


def training_objective(
    config: TrainConfig,
    streams: StreamSet,
    network: Network,
    frontend: FrontendConfig,
    phrases: Sequence[str],
    language: str,
    seed: int,
) -> Objective:
    """Return what the section `train` asks for, over the training streams: the range test and training share it.

    Args:
        config: the section.
        streams: the training streams.
        network: on the device to train on.
        frontend: made the features.
        phrases, language: what a teacher must know.
        seed: of all draws.

    Raises:
        UserError: windows are too short for the network or a teacher, no phrase fits one, or a teacher can't teach.
    """
    device, sees = network.mean.device, (network.receptive_field, network.stride)
    teacher = config.teacher
    features = features_for(device, streams)
    return Objective(
        WindowSampler(streams, len(phrases), config.batches, config.loss, *sees, seed, features),
        frontend,
        config.batches,
        config.loss,
        device,
        precision(config.amp, device),
        teacher=load_teacher(teacher, frontend, phrases, language, device) if teacher is not None else None,
        utterances=UtteranceSampler.of(streams, config.phonemes, network, seed, features),
        accumulate=config.accumulate,
    )


def _loss_and_divisors(config: LossConfig, stretch: int) -> tuple[Callable[..., Tensor], Callable[..., Divisors]]:
    """Return the configured loss and what it divides by, which take the rest of their arguments."""
    focal = config.focal or FocalConfig(gamma=0.0)
    shape = Shape(focal.gamma, focal.alpha, config.label_smoothing)
    if config.name == "per_frame":
        return partial(per_frame_bce, shape=shape), per_frame_divisors
    if config.name == "softmax":
        return partial(softmax_ce, stretch=stretch), partial(softmax_divisors, stretch=stretch)
    return partial(max_pooling_bce, stretch=stretch, shape=shape), partial(max_pooling_divisors, stretch=stretch)


def draw_mixup(size: int, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw what each window of a batch is mixed with, and how much of it is left.

    Args:
        size: of the batch.
        alpha: of the Beta distribution of the shares.
        rng: draws partners and shares.

    Returns:
        `(size,)` int64 the partner of each window, and `(size,)` float32 its own share.
    """
    partner = rng.permutation(size)
    return torch.from_numpy(partner), torch.from_numpy(rng.beta(alpha, alpha, size=size).astype(np.float32))


def mixup(features: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Mix each window with another one of the batch (Zhang et al., arXiv:1710.09412), each pair by a share of its own.

    Cross-entropy being linear in the target, mixing the targets is the same as weighing the losses of both targets by
    the shares; where the highest score speaks for many, each window's own masks must choose it.

    Args:
        features: `(windows, frames, mels)`.
        partner, share: of each; see `draw_mixup`.
    """
    return features[partner].lerp(features, share[:, None, None])


def optimizer(network: nn.Module, config: OptimizerConfig, lr: float) -> torch.optim.Optimizer:
    """Return an optimizer that decays weights that multiply and leaves biases and normalization alone."""
    decayed = {id(parameter) for parameter in _multiplying(network)}
    groups = [
        {"params": [each for each in network.parameters() if id(each) in decayed], "weight_decay": config.weight_decay},
        {"params": [each for each in network.parameters() if id(each) not in decayed], "weight_decay": 0.0},
    ]
    if isinstance(config, AdamWConfig):
        return torch.optim.AdamW(groups, lr=lr)
    return torch.optim.SGD(groups, lr=lr, momentum=config.momentum)


def clip_gradients(learner: nn.Module, longest: float) -> Tensor:
    """Scale the network's gradient down to a length, and likewise that of a second head; return the network's length.

    The second head's is the longer of the two at first, and would shorten the network's.
    """
    network = distributed.alone(learner)
    own = {id(parameter) for parameter in network.parameters()}
    torch.nn.utils.clip_grad_norm_([each for each in learner.parameters() if id(each) not in own], longest)
    return torch.nn.utils.clip_grad_norm_(network.parameters(), longest)


def _multiplying(network: nn.Module) -> Iterator[nn.Parameter]:
    for module in network.modules():
        if isinstance(module, nn.ParameterList):  # the kernels of MixedNet's depthwise convolutions
            yield from module
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear | nn.GRU):
            yield from (each for name, each in module.named_parameters(recurse=False) if name.startswith("weight"))
