"""The loss on cases worked by hand."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.training.conftest import BATCHES, FRONTEND, LOSS
from wakeword.features.store import StreamSet
from wakeword.models.network import Network
from wakeword.training.config import BatchConfig, FocalConfig, LossConfig, SpecAugmentConfig
from wakeword.training.losses import Shape, max_pooling_bce, per_frame_bce, softmax_ce
from wakeword.training.objective import Objective, draw_mixup, mixup
from wakeword.training.sampler import WindowSampler


def masks(*rows: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn rows such as "--.++-" into positive (+) and negative (-) masks of one phrase."""
    positive = torch.tensor([[character == "+" for character in row] for row in rows])
    negative = torch.tensor([[character == "-" for character in row] for row in rows])
    return positive[:, :, None], negative[:, :, None]


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_one_phrase_and_its_surroundings() -> None:
    positive, negative = masks("--.++-")
    logits = torch.tensor([[[0.5], [-1.0], [9.0], [2.0], [1.0], [-3.0]]])
    # Stretches of two: (0.5, -1), (9 and 2 do not count: nothing), (1 does not count, -3).
    expected = softplus(-2.0) + 2.0 * (softplus(0.5) + softplus(-3.0)) / 2
    assert max_pooling_bce(logits, positive, negative, 2, 2.0).item() == pytest.approx(expected, rel=1e-6)


def test_only_the_peak_learns() -> None:
    positive, negative = masks("..+++.")
    logits = torch.tensor([[[0.0], [0.0], [1.0], [3.0], [2.0], [0.0]]], requires_grad=True)
    max_pooling_bce(logits, positive, negative, 2, 1.0).backward()
    assert logits.grad is not None
    assert torch.nonzero(logits.grad.flatten()).flatten().tolist() == [3]


def test_frames_that_do_not_count_do_not_count() -> None:
    positive, negative = masks("--..+.", "------")
    logits = torch.randn(2, 6, 1)
    changed = logits.clone()
    changed[0, [2, 3, 5]] = 50.0
    losses = [max_pooling_bce(values, positive, negative, 3, 1.0).item() for values in (logits, changed)]
    assert losses[0] == losses[1]


def test_a_batch_without_a_phrase_or_without_other_sound_is_finite() -> None:
    logits = torch.zeros(1, 4, 1)
    positive, negative = masks("----")
    assert max_pooling_bce(logits, positive, negative, 2, 1.0).item() == pytest.approx(softplus(0.0))
    positive, negative = masks("++++")
    assert max_pooling_bce(logits, positive, negative, 2, 1.0).item() == pytest.approx(softplus(0.0))


def test_phrases_are_judged_each_on_its_own_column() -> None:
    positive = torch.tensor([[[True, False], [True, False]]])
    negative = ~positive
    logits = torch.tensor([[[4.0, -4.0], [4.0, -4.0]]])
    assert max_pooling_bce(logits, positive, negative, 2, 1.0).item() == pytest.approx(2 * softplus(-4.0))


def test_half_precision_does_not_overflow() -> None:
    positive, negative = masks("--.++-")
    assert torch.isfinite(max_pooling_bce(torch.zeros(1, 6, 1, dtype=torch.float16), positive, negative, 2, 1.0))


def random_windows(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits and disjoint masks of eight windows of 23 frames and two phrases."""
    generator = torch.Generator().manual_seed(seed)
    logits = 4.0 * torch.randn(8, 23, 2, generator=generator)
    kind = torch.randint(0, 3, logits.shape, generator=generator)
    kind[::3][kind[::3] == 1] = 2  # a third of the windows hold no phrase
    return logits, kind == 1, kind == 2


def cross_entropy(score: float, wanted: bool, shape: Shape) -> float:
    """Compute the loss of one logit from its probability, in double precision."""
    probability = 1.0 / (1.0 + math.exp(-score))
    target = 1.0 - shape.label_smoothing / 2 if wanted else shape.label_smoothing / 2
    entropy = -target * math.log(probability) - (1.0 - target) * math.log(1.0 - probability)
    right = probability if wanted else 1.0 - probability
    weight = 1.0 if shape.alpha is None else shape.alpha if wanted else 1.0 - shape.alpha
    return weight * (1.0 - right) ** shape.gamma * entropy


def pooled(logits: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, stretch: int) -> list[tuple]:
    """List `(window, score, wanted)` of what max-pooling counts, by loops."""
    found = []
    windows, frames, phrases = logits.shape
    for window in range(windows):
        for phrase in range(phrases):
            peak = [logits[window, frame, phrase].item() for frame in range(frames) if positive[window, frame, phrase]]
            found += [(window, max(peak), True)] if peak else []
            for start in range(0, frames, stretch):
                span = range(start, min(frames, start + stretch))
                loud = [logits[window, frame, phrase].item() for frame in span if negative[window, frame, phrase]]
                found += [(window, max(loud), False)] if loud else []
    return found


def averaged(found: list[tuple], negative_weight: float, shape: Shape, weights: list[float]) -> float:
    total = 0.0
    for side in (True, False):
        these = [
            (weights[window], cross_entropy(score, side, shape)) for window, score, wanted in found if wanted == side
        ]
        mean = sum(weight * loss for weight, loss in these) / sum(weight for weight, _ in these)
        total += mean if side else negative_weight * mean
    return total


SHAPES = [
    Shape(),
    Shape(gamma=2.0),
    Shape(gamma=0.5, alpha=0.25),
    Shape(label_smoothing=0.2),
    Shape(gamma=2.0, alpha=0.75, label_smoothing=0.1),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_loops_over_probabilities(shape: Shape, weighted: bool) -> None:
    logits, positive, negative = random_windows(5)
    weights = torch.rand(8, generator=torch.Generator().manual_seed(6)) if weighted else None
    each = weights.tolist() if weights is not None else [1.0] * 8
    expected = averaged(pooled(logits, positive, negative, 5), 3.0, shape, each)
    assert max_pooling_bce(logits, positive, negative, 5, 3.0, shape, weights).item() == pytest.approx(expected, 1e-4)
    frames = [
        (window, logits[window, frame, phrase].item(), side)
        for side, mask in ((True, positive), (False, negative))
        for window, frame, phrase in mask.nonzero().tolist()
    ]
    expected = averaged(frames, 3.0, shape, each)
    assert per_frame_bce(logits, positive, negative, 3.0, shape, weights).item() == pytest.approx(expected, 1e-4)


def test_one_of_three_is_right_by_hand() -> None:
    # Two phrases and the rest, of weights 3, 2 and 1 where the first is said, of 1, 4 and 1 where neither is.
    logits = torch.tensor([[[math.log(3.0), math.log(2.0)], [0.0, math.log(4.0)]]])
    positive = torch.tensor([[[True, False], [False, False]]])
    negative = torch.tensor([[[False, True], [True, True]]])
    # In the first frame the second phrase must not fire either, and the first is no class of what is not it.
    expected = math.log(6.0 / 3.0) + 2.0 * (math.log(3.0) + math.log(6.0)) / 2
    assert softmax_ce(logits, positive, negative, 1, 2.0).item() == pytest.approx(expected, rel=1e-6)
    expected = math.log(6.0 / 3.0) + 2.0 * math.log(6.0)  # of both frames' other sound, the worse counts
    assert softmax_ce(logits, positive, negative, 2, 2.0).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_softmax_is_that_of_torch_over_the_classes_of_each_frame(weighted: bool) -> None:
    logits, positive, negative = random_windows(7)
    weights = torch.rand(8, generator=torch.Generator().manual_seed(6)) if weighted else None
    each = weights.tolist() if weights is not None else [1.0] * 8
    rest = logits.shape[2]

    def loss(window: int, frame: int, right: int) -> float:
        classes = [phrase for phrase in range(rest) if negative[window, frame, phrase] or phrase == right]
        among = torch.cat([logits[window, frame, classes], torch.zeros(1)]).double()
        target = torch.tensor(classes.index(right) if right < rest else len(classes))
        return torch.nn.functional.cross_entropy(among, target).item()

    said, heard = [], []
    for window in range(8):
        for phrase in range(rest):
            frames = positive[window, :, phrase].nonzero().flatten().tolist()
            said += [(each[window], min(loss(window, frame, phrase) for frame in frames))] if frames else []
        for start in range(0, 23, 5):
            frames = [frame for frame in range(start, min(23, start + 5)) if negative[window, frame].any()]
            heard += [(each[window], max(loss(window, frame, rest) for frame in frames))] if frames else []
    means = [sum(weight * of for weight, of in side) / sum(weight for weight, _ in side) for side in (said, heard)]
    found = softmax_ce(logits, positive, negative, 5, 3.0, weights).item()
    assert found == pytest.approx(means[0] + 3.0 * means[1], rel=1e-5)


def test_softmax_over_one_phrase_is_max_pooling() -> None:
    logits, positive, negative = (each[..., :1] for each in random_windows(8))
    one, other = softmax_ce(logits, positive, negative, 5, 1.5), max_pooling_bce(logits, positive, negative, 5, 1.5)
    assert one.item() == pytest.approx(other.item(), rel=1e-6)


@pytest.mark.parametrize("changed", [{"focal": {"gamma": 2.0}}, {"label_smoothing": 0.1}])
def test_what_softmax_would_ignore_is_refused(changed: dict) -> None:
    LossConfig.model_validate(changed)
    with pytest.raises(ValidationError, match="softmax takes no focal and no label_smoothing"):
        LossConfig.model_validate({"name": "softmax"} | changed)


def test_every_frame_speaks_for_itself() -> None:
    positive, negative = masks("-.++")
    logits = torch.tensor([[[0.5], [9.0], [2.0], [-1.0]]])
    expected = (softplus(-2.0) + softplus(1.0)) / 2 + 2.0 * softplus(0.5)
    assert per_frame_bce(logits, positive, negative, 2.0).item() == pytest.approx(expected, rel=1e-6)


def test_focal_loss_by_hand() -> None:
    positive, negative = masks("+-")
    logits = torch.tensor([[[math.log(3.0)], [math.log(1.0 / 9.0)]]])  # probabilities 3/4 and 1/10
    shape = Shape(gamma=2.0, alpha=0.25)
    expected = 0.25 * 0.25**2 * -math.log(0.75) + 0.75 * 0.1**2 * -math.log(0.9)
    assert per_frame_bce(logits, positive, negative, 1.0, shape).item() == pytest.approx(expected, rel=1e-5)
    assert max_pooling_bce(logits, positive, negative, 1, 1.0, shape).item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_moves_the_gradient_from_easy_to_hard() -> None:
    positive, negative = masks("--")
    shares = []
    for gamma in (0.0, 1.0, 2.0):
        logits = torch.tensor([[[-3.0], [1.0]]], requires_grad=True)
        per_frame_bce(logits, positive, negative, 1.0, Shape(gamma=gamma)).backward()
        assert logits.grad is not None
        easy, hard = logits.grad.flatten().abs().tolist()
        shares.append(easy / hard)
    assert shares[0] > 2 * shares[1] > 4 * shares[2] > 0


def test_a_smoothed_label_is_overshot_by_too_sure_a_score() -> None:
    positive, negative = masks("+")
    wish = math.log(0.95 / 0.05)
    for logit, sign in ((wish - 1.0, -1), (wish + 1.0, 1)):
        logits = torch.full((1, 1, 1), logit, requires_grad=True)
        per_frame_bce(logits, positive, negative, 1.0, Shape(label_smoothing=0.1)).backward()
        assert logits.grad is not None and sign * logits.grad.item() > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_default_loss_is_the_plain_formula_to_the_bit(seed: int) -> None:
    logits, positive, negative = random_windows(seed)
    floor, softly = torch.finfo(torch.float32).min, torch.nn.functional.softplus
    missed = softly(-logits.masked_fill(~positive, floor).amax(1))[positive.any(1)]
    pieces = [(part, mask) for part, mask in zip(logits.split(5, 1), negative.split(5, 1), strict=True)]
    loudest = torch.stack([part.masked_fill(~mask, floor).amax(1) for part, mask in pieces], 1)
    alarmed = softly(loudest)[torch.stack([mask.any(1) for _, mask in pieces], 1)]
    expected = missed.sum() / missed.numel() + 1.5 * alarmed.sum() / alarmed.numel()
    assert torch.equal(max_pooling_bce(logits, positive, negative, 5, 1.5), expected)


def test_mixed_windows_lie_between_their_two(streams: StreamSet) -> None:
    features = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1))
    partner, share = draw_mixup(6, 0.4, np.random.default_rng(2))
    mixed = mixup(features, partner, share)
    assert sorted(partner.tolist()) == list(range(6)) and ((share >= 0) & (share <= 1)).all()
    for window in range(6):
        expected = share[window] * features[window] + (1 - share[window]) * features[partner[window]]
        assert torch.allclose(mixed[window], expected, atol=1e-6)


def objective_with(streams: StreamSet, network: Network, batches: BatchConfig, loss: LossConfig) -> Objective:
    sampler = WindowSampler(streams, 1, batches, loss, network.receptive_field, network.stride, seed=1)
    return Objective(sampler, FRONTEND, batches, loss, torch.device("cpu"), None)


@pytest.mark.parametrize(
    "loss", [LOSS, LossConfig(name="per_frame", focal=FocalConfig(alpha=0.3)), LossConfig(name="softmax")]
)
@pytest.mark.parametrize("mixed", [0.0, 0.5])
def test_micro_batches_add_up_to_the_gradient_of_the_batch(
    streams: StreamSet, network: Network, loss: LossConfig, mixed: float
) -> None:
    network.eval()  # batch normalization takes no statistics and nothing is dropped, or they would differ
    batches = BATCHES.model_copy(update={"mixup": mixed})
    # Where phrases lie unevenly among micro-batches, their own means would give another gradient.
    expected = objective_with(streams, network, batches, loss)(network, 4)
    expected.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    seen: list[int] = []
    network.register_forward_pre_hook(lambda _network, inputs: seen.append(len(inputs[0])))
    for parts in (2, 4, 8):
        network.zero_grad()
        seen.clear()
        objective = objective_with(streams, network, batches, loss)
        objective.accumulate = parts
        found = objective.backward(network, 4)
        assert seen == [BATCHES.size // parts] * parts
        assert not found.requires_grad and found.item() == pytest.approx(expected.item(), rel=1e-5)
        for name, parameter in network.named_parameters():
            assert torch.allclose(parameter.grad, gradients[name], rtol=1e-3, atol=1e-5), name


def test_a_scaled_loss_scales_the_gradient_alone(network: Network, objective: Objective) -> None:
    network.eval()
    loss = objective.backward(network, 4)
    plain = network.body.head.weight.grad.clone()
    network.zero_grad()
    assert objective.backward(network, 4, lambda loss: 8.0 * loss) == loss
    assert torch.allclose(network.body.head.weight.grad, 8.0 * plain, rtol=1e-5)


def test_the_weight_of_other_sound_can_be_set(network: Network, objective: Objective) -> None:
    network.eval()
    losses = []
    for weight in (LOSS.negative_weight, 2.0, 4.0):
        objective.negative_weight = weight
        losses.append(objective(network, 4).item())
    assert losses[2] - losses[1] == pytest.approx(2 * (losses[1] - losses[0]), rel=1e-4) != 0


STILL = SpecAugmentConfig(time_masks=0, band_masks=0, gain_db=0.0, equalizer_db=0.0, vocal_tract=0.0)


def test_mixup_trains_on_mixed_features_and_both_labels(streams: StreamSet, network: Network) -> None:
    network.eval()
    batches = BATCHES.model_copy(update={"spec_augment": STILL, "mixup": 0.5})
    objective = objective_with(streams, network, batches, LOSS)
    batch = objective.sampler.batch(4)
    seen = []
    hook = network.register_forward_pre_hook(lambda _network, inputs: seen.append(inputs[0]))
    loss = objective(network, 4).item()
    hook.remove()
    # The share of each window and its partner are read off what the network saw.
    mixed, features = seen[0], batch.features
    logits = network(mixed).detach()
    found: list[tuple] = []
    weights: list[float] = []
    for window in range(len(features)):
        fits = []
        for other in range(len(features)):
            apart = (features[window] - features[other]).flatten()
            length = apart.dot(apart)
            share = ((mixed[window] - features[other]).flatten().dot(apart) / length).item() if length > 0 else 1.0
            left = (features[other].lerp(features[window], share) - mixed[window]).abs().max().item()
            fits.append((left, other, share))
        left, other, share = min(fits)
        assert left < 1e-3
        stretch = LOSS.negative_ms // (10 * network.stride)
        for source, weight in ((window, share), (other, 1.0 - share)):
            masks_of = (mask[source : source + 1] for mask in (batch.positive, batch.negative))
            listed = pooled(logits[window : window + 1], *masks_of, stretch)
            found += [(len(weights), score, wanted) for _, score, wanted in listed]
            weights.append(weight)
    assert loss == pytest.approx(averaged(found, LOSS.negative_weight, Shape(), weights), rel=1e-3)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "per_frame"},
        {"focal": FocalConfig(gamma=2.0)},
        {"focal": FocalConfig(gamma=0.0, alpha=0.3)},
        {"label_smoothing": 0.2},
    ],
)
def test_what_is_configured_reaches_the_loss(streams: StreamSet, network: Network, changed: dict) -> None:
    network.eval()
    losses = []
    for config in (LOSS, LOSS.model_copy(update=changed), LOSS):
        loss = objective_with(streams, network, BATCHES, config)(network, 0)
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == losses[2] != losses[1] and all(map(math.isfinite, losses))
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters() if parameter.grad is not None)
