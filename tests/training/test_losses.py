"""The loss on cases worked by hand."""

import math

import pytest
import torch

from wakeword.training.losses import max_pooling_bce


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
