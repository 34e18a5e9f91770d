"""The `train` and `find_lr` sections of `params.yaml`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from wakeword.base.params import Section, Text, inside


class SpecAugmentConfig(Section):
    """Changes made to each training window's features (see `wakeword.training.spec_augment`).

    Attributes:
        time_masks, time_ms: how many stretches of time are blanked at most, and how long each is at most.
        band_masks, bands: the same for mel bands.
        gain_db: how much louder or softer the window is made, either way.
        equalizer_db: how much a smooth equalizer raises or lowers parts of the spectrum, either way.
        vocal_tract: by how much all frequencies are scaled, either way, as by a longer or shorter vocal tract.
    """

    time_masks: int = Field(2, ge=0, le=10)
    time_ms: int = Field(150, ge=10, le=1000)
    band_masks: int = Field(2, ge=0, le=10)
    bands: int = Field(6, ge=1, le=64)
    gain_db: float = Field(6.0, ge=0.0, le=40.0)
    equalizer_db: float = Field(6.0, ge=0.0, le=40.0)
    vocal_tract: float = Field(0.1, ge=0.0, le=0.5)


class BatchConfig(Section):
    """What a training step sees.

    Attributes:
        size: windows a batch.
        window_s: length of a window; the loss sees its end, beyond the receptive field.
        positive_share: share of windows chosen for a wake phrase that ends in them.
        real_share: of those, the share in which a recording says it, where synthetic speech says it too; "auto" is
            half, or less where each recording would be drawn more than ten times as often as a synthetic utterance.
        hard_negative_share: share of windows chosen for a clip labelled hard_negative that ends in them. What no share
            claims falls anywhere in the streams.
        mixup: windows are mixed in pairs, by shares drawn from Beta(mixup, mixup); 0 mixes none (see
            `wakeword.training.objective.mixup`).
        spec_augment: changes made to the features.
    """

    size: int = Field(64, ge=2, le=8192)
    window_s: float = Field(3.2, ge=0.5, le=30.0)
    positive_share: float = Field(0.4, gt=0.0, lt=1.0)
    real_share: float | Literal["auto"] = "auto"
    hard_negative_share: float = Field(0.0, ge=0.0, lt=1.0)
    mixup: float = Field(0.0, ge=0.0, le=10.0)
    spec_augment: SpecAugmentConfig = SpecAugmentConfig()

    @model_validator(mode="after")
    def _shares_fit(self) -> "BatchConfig":
        if self.real_share != "auto" and not 0.0 <= self.real_share <= 1.0:
            raise ValueError(f"real_share is {self.real_share}; it must be 'auto' or lie from 0 to 1")
        if self.positive_share + self.hard_negative_share >= 1.0:
            raise ValueError("positive_share and hard_negative_share leave no window for other sound; lower one")
        return self


class FocalConfig(Section):
    """Focal modulation: what is easy counts less (Lin et al., arXiv:1708.02002).

    Attributes:
        gamma: the loss of a score that is right with probability p is multiplied by (1 - p) to this power.
        alpha: weight of the phrases, 1 - alpha being that of other sound; null weighs neither.
    """

    gamma: float = Field(2.0, ge=0.0, le=10.0)
    alpha: float | None = Field(None, gt=0.0, lt=1.0)


class LossConfig(Section):
    """Cross-entropy of the scores (see `wakeword.training.losses`).

    Attributes:
        name: "max_pooling" asks for one high score where a phrase ends and lets the highest of each stretch of other
            sound speak for it, each phrase by itself; "per_frame" asks for all, and lets every score speak for itself;
            "softmax" is "max_pooling" where the phrases and other sound compete, so that exactly one is right.
        early_ms, late_ms: the score must peak between this long before and after the end of the phrase.
        tolerance_ms: how long after the phrase scores are neither rewarded nor punished.
        negative_ms: other sound is cut into stretches of this length; each counts by its highest score.
            "per_frame" has no stretches.
        negative_weight: weight of other sound against that of the phrases.
        label_smoothing: the scores' targets are 1 less half of this, and half of this; not with "softmax".
        focal: lets what is easy count less, or null; not with "softmax".
    """

    name: Literal["max_pooling", "per_frame", "softmax"] = "max_pooling"
    early_ms: int = Field(100, ge=0, le=1000)
    late_ms: int = Field(250, ge=20, le=1000)
    tolerance_ms: int = Field(500, ge=0, le=2000)
    negative_ms: int = Field(500, ge=20, le=10_000)
    negative_weight: float = Field(1.0, gt=0.0, le=1000.0)
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    focal: FocalConfig | None = None

    @model_validator(mode="after")
    def _softmax_is_plain(self) -> "LossConfig":
        if self.name == "softmax" and (self.focal is not None or self.label_smoothing > 0):
            raise ValueError("softmax takes no focal and no label_smoothing; set them to null and 0")
        return self

    @model_validator(mode="after")
    def _late_is_tolerated(self) -> "LossConfig":
        if self.late_ms > self.tolerance_ms:
            raise ValueError("late_ms must not exceed tolerance_ms, or a wanted peak would count as a false alarm")
        return self


class AdamWConfig(Section):
    """AdamW (Loshchilov and Hutter, arXiv:1711.05101) with gradient clipping.

    Attributes:
        weight_decay: of weights that multiply; biases and normalization are left alone.
        clip_norm: gradients longer than this are scaled down to it.
    """

    name: Literal["adamw"] = "adamw"
    weight_decay: float = Field(0.01, ge=0.0, le=1.0)
    clip_norm: float = Field(5.0, gt=0.0, le=1e6)


class SgdConfig(Section):
    """Stochastic gradient descent with momentum and gradient clipping; its learning rates are larger than AdamW's.

    Attributes:
        momentum: share of the last step's direction that the next one keeps.
        weight_decay: added to the gradient, times the weight, of weights that multiply.
        clip_norm: gradients longer than this, before weight decay, are scaled down to it.
    """

    name: Literal["sgd"] = "sgd"
    momentum: float = Field(0.9, ge=0.0, lt=1.0)
    weight_decay: float = Field(0.001, ge=0.0, le=1.0)
    clip_norm: float = Field(5.0, gt=0.0, le=1e6)


OptimizerConfig = Annotated[AdamWConfig | SgdConfig, Field(discriminator="name")]


class MiningConfig(Section):
    """Hard-negative mining (see `wakeword.training.mining`).

    Attributes:
        every: epochs from one round to the next; 0 never mines. A round runs the averaged detector over the training
            streams, and what it fires at by mistake gets a share of the windows until the next round.
        share: of the windows, once something was found; taken from those that fall anywhere.
        threshold: smoothed score at which the detector fires.
        most: false alarms kept in a round, those of the highest scores.
    """

    every: int = Field(0, ge=0, le=10_000)
    share: float = Field(0.15, gt=0.0, lt=1.0)
    threshold: float = Field(0.3, gt=0.0, lt=1.0)
    most: int = Field(5000, ge=1, le=1_000_000)

    def due(self, epoch: int) -> bool:
        """Say whether a round follows the epoch, counted from 1, if that is not the last."""
        return self.every > 0 and epoch % self.every == 0


class EarlyStoppingConfig(Section):
    """Stopping for want of a better epoch; the best one is kept in any case.

    The learning rate stays planned over all epochs, so that a cosine that is stopped early never comes near 0: it saves
    time, and costs what the last, slow epochs would have brought.

    Attributes:
        patience: epochs without a better judgement after which training stops.
    """

    patience: int = Field(5, ge=1, le=10_000)


class FahControlConfig(Section):
    """Setting the weight of other sound by the false alarms on dev (see `wakeword.training.schedule`).

    Attributes:
        target_fah: false alarms an hour that the averaged detector should have on dev, at `threshold`.
        threshold: smoothed score at which it fires.
        gain: power of the excess by which the weight is multiplied after each epoch.
        least, most: the weight never leaves these.
    """

    target_fah: float = Field(2.0, gt=0.0, le=1000.0)
    threshold: float = Field(0.5, gt=0.0, lt=1.0)
    gain: float = Field(0.5, gt=0.0, le=4.0)
    least: float = Field(0.1, gt=0.0, le=1000.0)
    most: float = Field(10.0, gt=0.0, le=1000.0)

    @model_validator(mode="after")
    def _weight_can_change(self) -> "FahControlConfig":
        if self.least >= self.most:
            raise ValueError("least must lie below most, or the weight could never change")
        return self


def _below_teacher(path: str) -> str:
    if not inside(path):
        raise ValueError("must lie below data/teacher; copy the model there and give the rest of its path")
    return path


def _each_once(files: list[str]) -> list[str]:
    if len(set(files)) < len(files):
        raise ValueError("names a file twice; keep one")
    return files


TeacherFile = Annotated[Text, AfterValidator(_below_teacher)]


class TeacherConfig(Section):
    """Distillation: the network also learns the scores of trained ones (see `wakeword.training.distillation`).

    Attributes:
        files: trained models, `best_model.pt` of an earlier training, relative to data/teacher; of several, the mean
            probability is taught.
        weight: of what the teacher says in the loss; the rest is that of the labels.
        temperature: logits of both are divided by it, so that small differences between low scores count for more.
    """

    files: Annotated[list[TeacherFile], Field(min_length=1, max_length=16), AfterValidator(_each_once)]
    weight: float = Field(0.5, gt=0.0, le=1.0)
    temperature: float = Field(2.0, ge=0.1, le=100.0)


class PhonemesConfig(Section):
    """The phonemes of what is said are learned beside the phrases (see `wakeword.training.phonemes`).

    Attributes:
        weight: of that in the loss at first; it falls to 0 by the end of the training.
        utterances: heard for it in each step, beside the windows of `batches`.
        longest_s: longer ones are left out.
    """

    weight: float = Field(1.0, gt=0.0, le=100.0)
    utterances: int = Field(24, ge=1, le=8192)
    longest_s: float = Field(2.5, ge=0.3, le=30.0)


class TrainConfig(Section):
    """How the network is trained.

    Attributes:
        lr: peak learning rate; "auto" takes what find-lr suggests, or half of that where the schedule is constant.
        epochs, steps_per_epoch: how long; the model is judged on the dev streams after each epoch.
        schedule: what the rate does (see `wakeword.training.schedule`): "cosine" rises linearly and falls to 0,
            "one_cycle" rises and falls by cosines, "constant" rises linearly and stays.
        warmup_share: share of all steps in which the rate rises to its peak; one cycle usually takes 0.3.
        ema_decay: decay of the running average of weights and buffers, which is what is judged and kept.
        average_best: the averages of the latest epochs, at most so many, whose mean recall on dev lies within a
            standard error of the best are averaged in the end. The result is kept instead of the best one's if it lies
            so, too; 1 averages none.
        early_stopping: when to stop before the last epoch, or null.
        fah_control: sets the weight of other sound by the false alarms on dev, from loss.negative_weight on, or null.
        accumulate: micro-batches that a batch is computed in, one after the other, to save memory. They add up to the
            gradient of the whole batch, but batch normalization takes its statistics over each of them.
        compile: the forward pass in training is compiled by `torch.compile`, which takes a C++ compiler; part of the
            parameters because it rounds otherwise, and may draw dropout otherwise. find-lr compiles nothing.
        amp: mixed precision; "auto" uses bfloat16 or float16 where a GPU has them and none on a CPU.
        threads: CPU threads of one operation; part of the parameters because sums over other numbers of
            threads differ in their last digits.
        nproc: processes on this machine that share every batch, one for each GPU or on a CPU for each few cores; part
            of the parameters as `threads` is. `torchrun` may start more, on several machines.
        teacher: trained models whose scores are learned beside the labels, or null.
        phonemes: what is said is learned beside the phrases, from clips with a text; or null.
        batches, mining, loss, optimizer: see there.
    """

    lr: float | Literal["auto"] = "auto"
    epochs: int = Field(10, ge=1, le=10_000)
    steps_per_epoch: int = Field(300, ge=1, le=1_000_000)
    schedule: Literal["cosine", "one_cycle", "constant"] = "cosine"
    warmup_share: float = Field(0.05, ge=0.0, lt=1.0)
    ema_decay: float = Field(0.995, ge=0.0, lt=1.0)
    average_best: int = Field(1, ge=1, le=100)
    early_stopping: EarlyStoppingConfig | None = None
    fah_control: FahControlConfig | None = None
    accumulate: int = Field(1, ge=1, le=1024)
    compile: bool = False
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    threads: int = Field(2, ge=1, le=256)
    nproc: int = Field(1, ge=1, le=64)
    teacher: TeacherConfig | None = None
    phonemes: PhonemesConfig | None = None
    batches: BatchConfig = BatchConfig()
    mining: MiningConfig = MiningConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = AdamWConfig()

    @model_validator(mode="after")
    def _rate_is_positive(self) -> "TrainConfig":
        if self.lr != "auto" and not 0.0 < self.lr <= 1.0:
            raise ValueError(f"lr is {self.lr}; it must be 'auto' or lie above 0 and not above 1")
        return self

    @model_validator(mode="after")
    def _batches_can_be_shared(self) -> "TrainConfig":
        for name, size in self.shared_sizes.items():
            if size % (self.nproc * self.accumulate):
                raise ValueError(
                    f"{name} is {size}; with nproc {self.nproc} and accumulate {self.accumulate} it must be a multiple "
                    f"of {self.nproc * self.accumulate}"
                )
        return self

    @property
    def shared_sizes(self) -> dict[str, int]:
        """Return what processes and micro-batches share equally: how many there are, by the key that says so."""
        utterances = {"phonemes.utterances": self.phonemes.utterances} if self.phonemes is not None else {}
        return {"batches.size": self.batches.size} | utterances

    @model_validator(mode="after")
    def _epochs_suffice(self) -> "TrainConfig":
        # The last epoch ends the training anyway, and the first has none before it to be compared with.
        if self.early_stopping is not None and self.early_stopping.patience >= self.epochs - 1:
            raise ValueError(
                f"early_stopping.patience is {self.early_stopping.patience}, which {self.epochs} epochs never reach; "
                "lower it, or set early_stopping to null"
            )
        if self.fah_control is not None and self.epochs == 1:
            raise ValueError("fah_control acts from the second epoch on, but epochs is 1; set fah_control to null")
        if self.mining.every >= self.epochs:
            raise ValueError(
                f"mining.every is {self.mining.every}, and after the last of {self.epochs} epochs nothing is mined; "
                "lower it, or set it to 0 for no mining"
            )
        return self

    @model_validator(mode="after")
    def _labels_count(self) -> "TrainConfig":
        shaped = self.loss.focal is not None or self.loss.label_smoothing > 0
        if self.teacher is not None and self.teacher.weight == 1.0 and shaped:
            raise ValueError(
                "teacher.weight is 1, so that labels have no part in the loss; lower it, or set loss.focal to null and "
                "loss.label_smoothing to 0"
            )
        return self

    @model_validator(mode="after")
    def _weight_is_within_bounds(self) -> "TrainConfig":
        control, weight = self.fah_control, self.loss.negative_weight
        if control is not None and not control.least <= weight <= control.most:
            raise ValueError(
                f"loss.negative_weight is {weight:g}; it must lie from fah_control.least, {control.least:g}, "
                f"to fah_control.most, {control.most:g}"
            )
        return self

    @model_validator(mode="after")
    def _shares_fit(self) -> "TrainConfig":
        if (
            self.mining.every
            and self.batches.positive_share + self.batches.hard_negative_share + self.mining.share >= 1
        ):
            raise ValueError(
                "mining.share, batches.positive_share and hard_negative_share leave no window for other sound"
            )
        return self


class FindLrConfig(Section):
    """The learning-rate range test (see `wakeword.training.lr_range_test`).

    Attributes:
        start, end: first and last learning rate of the exponential sweep.
        steps: training steps of the sweep.
        smoothing: weight of the past in the running average of the loss.
        diverged: the sweep stops when the smoothed loss exceeds its best by this factor.
    """

    start: float = Field(1e-5, gt=0.0, le=1.0)
    end: float = Field(1.0, gt=0.0, le=100.0)
    steps: int = Field(100, ge=10, le=10_000)
    smoothing: float = Field(0.9, ge=0.0, lt=1.0)
    diverged: float = Field(3.0, gt=1.0, le=1000.0)

    @model_validator(mode="after")
    def _sweeps_upwards(self) -> "FindLrConfig":
        if self.start >= self.end:
            raise ValueError("start must lie below end")
        return self
