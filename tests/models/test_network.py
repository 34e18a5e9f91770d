"""Streaming is the same arithmetic as scoring a window, and no score looks ahead or pads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wakeword.base.errors import UserError
from wakeword.features.cmvn import Cmvn
from wakeword.features.frontend import FrontendConfig, log_mel
from wakeword.models.checkpoint import TrainedModel, load, save
from wakeword.models.config import DsTcnConfig
from wakeword.models.network import Network, parameter_count, score_stream, silent_state

FRONTEND = FrontendConfig()
CONFIG = DsTcnConfig(channels=16)


@pytest.fixture(scope="module", params=[2, 3])
def network(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(0)
    cmvn = Cmvn(np.full(40, -6.0, np.float32), np.full(40, 3.0, np.float32), 1, FRONTEND.fingerprint)
    network = Network(CONFIG.model_copy(update={"stride": request.param}), cmvn, FRONTEND.floor, phrases=2)
    for module in network.modules():  # as after training: statistics that are not 0 and 1
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0.0, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


def features(frames: int, seed: int = 0) -> torch.Tensor:
    pcm = (np.random.default_rng(seed).standard_normal(frames * 160) * 2000).astype(np.int16)
    return torch.from_numpy(log_mel(pcm, FRONTEND))


@settings(max_examples=25, deadline=None)
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
    assert not torch.allclose(streamed[-60], score_stream(network, window.numpy())[-60], atol=1e-6)


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
    assert score_stream(network, whole[:1].numpy()).shape == (0, 2)


def test_a_saved_model_scores_the_same_and_its_bytes_do_not_depend_on_the_name(
    network: Network, tmp_path: Path
) -> None:
    model = TrainedModel(network, FRONTEND, ["a", "b"], "en", {"data": "x"})
    config = CONFIG.model_copy(update={"stride": network.stride})
    save(tmp_path / "one.pt", model, config)
    save(tmp_path / "another.pt", model, config)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()
    loaded = load(tmp_path / "one.pt")
    whole = features(400)
    assert torch.equal(score_stream(loaded.network, whole.numpy()), score_stream(network, whole.numpy()))
    assert (loaded.phrases, loaded.frontend, loaded.fingerprints) == (["a", "b"], FRONTEND, {"data": "x"})


def test_a_broken_model_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"best\.pt is missing"):
        load(tmp_path / "best.pt")
    (tmp_path / "best.pt").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"cannot read .*best\.pt"):
        load(tmp_path / "best.pt")


def test_the_default_is_between_30_and_60_thousand_parameters() -> None:
    cmvn = Cmvn(np.zeros(40, np.float32), np.ones(40, np.float32), 1, "")
    assert 30_000 <= parameter_count(Network(DsTcnConfig(), cmvn, FRONTEND.floor, 1)) <= 60_000
