"""Streaming is the same arithmetic as scoring a window, and no score looks ahead or pads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.networks import CONFIGS, randomize
from wakeword.base.errors import UserError
from wakeword.features.cmvn import Cmvn
from wakeword.features.frontend import FrontendConfig, log_mel
from wakeword.models.checkpoint import TrainedModel, load, save
from wakeword.models.config import BcResNetConfig, ConformerConfig, CrnnConfig, DsTcnConfig, MixedNetConfig, ModelConfig
from wakeword.models.network import ARCHITECTURES, Network, parameter_count, score_stream, silent_state
from wakeword.models.streaming import later

FRONTEND = FrontendConfig()


@pytest.fixture(scope="module", params=CONFIGS)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return CONFIGS[request.param]


@pytest.fixture(scope="module")
def network(config: ModelConfig) -> Network:
    torch.manual_seed(0)
    cmvn = Cmvn(np.full(40, -6.0, np.float32), np.full(40, 3.0, np.float32), 1, FRONTEND.fingerprint)
    network = Network(config, cmvn, FRONTEND.floor, phrases=2)
    randomize(network, features(2000, seed=77), seed=0)
    scores = score_stream(network, features(1000).numpy())
    assert (scores.std(dim=0) > 0.1).all()  # it listens, or the tests below would say nothing
    return network


def features(frames: int, seed: int = 0) -> torch.Tensor:
    """Return log-mel frames of noise whose loudness and colour keep changing."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(frames * 160)
    coloured = np.where(np.arange(len(noise)) // 2400 % 2 == 0, noise, np.cumsum(noise - np.roll(noise, 8)))
    loudness = np.repeat(10 ** rng.uniform(0.5, 3.8, len(noise) // 1600 + 1), 1600)[: len(noise)]
    return torch.from_numpy(log_mel(np.clip(coloured * loudness, -32768, 32767).astype(np.int16), FRONTEND))


@settings(max_examples=12)
@given(steps=st.lists(st.integers(1, 60), min_size=1, max_size=8), seed=st.integers(0, 50))
def test_chunks_of_any_size_give_the_scores_of_the_whole(network: Network, steps: list[int], seed: int) -> None:
    whole = features(network.stride * sum(steps), seed)
    state = silent_state(network)
    scores, first = [], 0
    with torch.inference_mode():
        for step in steps:
            logits, state = network.stream(whole[None, first : first + network.stride * step], state)
            scores.append(torch.sigmoid(logits[0]))
            first += network.stride * step
    assert torch.allclose(torch.cat(scores), score_stream(network, whole.numpy()), atol=1e-5)


def test_a_window_gives_exactly_the_scores_with_full_context(network: Network) -> None:
    frames = network.receptive_field + 20 * network.stride
    window = features(frames)
    with torch.inference_mode():
        scores = torch.sigmoid(network(window[None]))[0]
    assert scores.shape == (21, 2)
    # In a stream, the same frames after a past that the window does not show.
    past = features(-frames % network.stride + 300, seed=9)
    streamed = score_stream(network, torch.cat([past, window]).numpy())
    assert torch.allclose(streamed[-21:], scores, atol=1e-5)
    other = score_stream(network, torch.cat([features(len(past), seed=10), window]).numpy())
    assert torch.allclose(other[-21:], scores, atol=1e-5)
    halfway = -21 - network.receptive_field // network.stride // 2
    assert not torch.allclose(streamed[halfway], other[halfway], atol=1e-3)


def test_a_clip_scores_the_same_alone_and_in_the_middle_of_a_stream(network: Network) -> None:
    silence = torch.full((420, 40), float(np.log(FRONTEND.floor)))
    clip = features(150)
    alone = score_stream(network, torch.cat([clip, silence[:60]]).numpy())
    within = score_stream(network, torch.cat([features(480, seed=3), silence, clip, silence[:60]]).numpy())
    assert torch.allclose(within[-len(alone) :], alone, atol=1e-5)


def test_a_score_never_looks_ahead(network: Network) -> None:
    whole, s = features(600), network.stride
    changed = whole.clone()
    changed[401:] = 0.0
    assert torch.equal(
        score_stream(network, whole.numpy())[: 400 // s], score_stream(network, changed.numpy())[: 400 // s]
    )


def test_long_streams_are_scored_in_blocks(network: Network) -> None:
    whole = features(1001)
    blocks = score_stream(network, whole.numpy(), block=100 * network.stride)
    assert torch.allclose(blocks, score_stream(network, whole.numpy()), atol=1e-5)
    assert score_stream(network, whole[: network.stride - 1].numpy()).shape == (0, 2)


def test_a_saved_model_scores_the_same_and_its_bytes_do_not_depend_on_the_name(
    config: ModelConfig, network: Network, tmp_path: Path
) -> None:
    model = TrainedModel(network, FRONTEND, ["a", "b"], "en", {"data": "x"})
    save(tmp_path / "one.pt", model, config)
    save(tmp_path / "another.pt", model, config)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()
    loaded = load(tmp_path / "one.pt")
    whole = features(400)
    assert torch.equal(score_stream(loaded.network, whole.numpy()), score_stream(network, whole.numpy()))
    assert (loaded.phrases, loaded.frontend, loaded.fingerprints) == (["a", "b"], FRONTEND, {"data": "x"})


def test_every_weight_learns(config: ModelConfig) -> None:
    """From the scores of a window, with the statistics of its own batch."""
    torch.manual_seed(0)
    cmvn = Cmvn(np.full(40, -6.0, np.float32), np.full(40, 3.0, np.float32), 1, FRONTEND.fingerprint)
    network = Network(config, cmvn, FRONTEND.floor, phrases=2).train()
    window = torch.stack([features(network.receptive_field + 30, seed) for seed in range(4)])
    (network(window).square().mean() + network(window)[..., 0].mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_frames_are_cut_off_without_a_change_of_gradient_or_layout() -> None:
    frames = torch.randn(3, 4, 1, 9, generator=torch.Generator().manual_seed(1)).to(memory_format=torch.channels_last)
    weights = torch.arange(3 * 4 * 7.0).reshape(3, 4, 1, 7)
    gradients = []
    for cut in (lambda x: later(x, 2), lambda x: x[..., 2:]):
        whole = frames.clone(memory_format=torch.preserve_format).requires_grad_()
        (cut(whole) * weights).sum().backward()
        gradients.append(whole.grad)
    ours, plain = gradients
    assert ours is not None and plain is not None and torch.equal(ours, plain)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_no_frame_outside_the_receptive_field_counts_and_both_its_ends_do(network: Network) -> None:
    field, stride = network.receptive_field, network.stride
    whole = features(field + stride * 2)
    window = whole.clone().requires_grad_()
    network(window[None])[0, 1].sum().backward()
    assert window.grad is not None
    heard = window.grad.abs().amax(dim=1) > 0
    assert not heard[:stride].any() and not heard[stride + field :].any()
    assert heard[stride] and heard[stride + field - 1]


def test_a_broken_model_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"best\.pt is missing"):
        load(tmp_path / "best.pt")
    (tmp_path / "best.pt").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"cannot read .*best\.pt"):
        load(tmp_path / "best.pt")


@pytest.mark.parametrize(
    ("config", "fewest", "most"),
    [
        (DsTcnConfig(), 30_000, 60_000),
        (BcResNetConfig(), 8_000, 10_000),
        (BcResNetConfig(tau=2), 20_000, 30_000),
        (MixedNetConfig(), 20_000, 30_000),
        (CrnnConfig(), 20_000, 30_000),
        (ConformerConfig(), 40_000, 60_000),
    ],
)
def test_the_defaults_are_small(config: ModelConfig, fewest: int, most: int) -> None:
    cmvn = Cmvn(np.zeros(40, np.float32), np.ones(40, np.float32), 1, "")
    assert fewest <= parameter_count(Network(config, cmvn, FRONTEND.floor, 1)) <= most


@pytest.mark.parametrize(("tau", "published"), [(1, 9_200), (2, 27_300), (3, 54_200), (6, 188_000), (8, 321_000)])
def test_bc_resnet_has_the_published_size(tau: int, published: int) -> None:
    """Table 1 of arXiv:2106.04140, for twelve classes; here the pointwise layers after the pooled ones have biases."""
    cmvn = Cmvn(np.zeros(40, np.float32), np.ones(40, np.float32), 1, "")
    counted = parameter_count(Network(BcResNetConfig(tau=tau), cmvn, FRONTEND.floor, 12))
    assert counted == pytest.approx(published, rel=0.03)


def test_every_architecture_is_tested() -> None:
    assert {config.name for config in CONFIGS.values()} == set(ARCHITECTURES)


def test_bands_that_bc_resnet_cannot_halve_are_refused() -> None:
    cmvn = Cmvn(np.zeros(36, np.float32), np.ones(36, np.float32), 1, "")
    with pytest.raises(UserError, match=r"features\.mels is 36.*multiple of 8"):
        Network(BcResNetConfig(), cmvn, FRONTEND.floor, 1)


def test_channels_that_heads_cannot_share_are_refused() -> None:
    with pytest.raises(ValueError, match=r"channels \(30\) must be a multiple of heads \(4\)"):
        ConformerConfig(channels=30)
