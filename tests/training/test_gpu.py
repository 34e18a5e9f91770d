"""On a GPU: the loss and gradient of a CPU, from features that lie there, and the same bytes every time.

Skipped where there is none, as on the machines that run these tests at every push.
"""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.stages import tiny_training
from tests.stages.running import run
from tests.training.conftest import BATCHES, FRONTEND, Cut, cut_after
from wakeword.features.store import StreamSet
from wakeword.models.network import Network, score_stream
from wakeword.training import devices, loop
from wakeword.training.config import PhonemesConfig, TrainConfig
from wakeword.training.objective import Objective, training_objective

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    devices.make_repeatable(1, 1)
    yield
    torch.use_deterministic_algorithms(False)


def objective_on(device: torch.device, streams: StreamSet, network: Network, config: TrainConfig) -> Objective:
    return training_objective(config, streams, network.to(device), FRONTEND, ["rising tone"], "en", 1)


def loss_and_gradient(
    device: torch.device, streams: StreamSet, network: Network, config: TrainConfig, compiled: bool = False
) -> tuple:
    network = copy.deepcopy(network)
    if compiled:
        devices.compile_forward(network)
    objective = objective_on(device, streams, network, config)
    learner = objective.learner(network).eval()  # nothing is dropped
    loss = objective.backward(learner, 3)
    return loss.item(), {name: parameter.grad.cpu() for name, parameter in learner.named_parameters()}


@pytest.mark.parametrize("phonemes", [None, PhonemesConfig(utterances=4)])
def test_loss_and_gradient_are_those_of_a_cpu(
    streams: StreamSet,
    network: Network,
    config: TrainConfig,
    phonemes: PhonemesConfig | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wakeword.training.phonemes._FEWEST_TEXTS", 1)
    batches = BATCHES.model_copy(update={"mixup": 0.4})
    config = config.model_copy(update={"phonemes": phonemes, "batches": batches, "amp": "off"})
    expected, gradients = loss_and_gradient(CPU, streams, network, config)
    found, on_gpu = loss_and_gradient(GPU, streams, network, config)
    assert found == pytest.approx(expected, rel=1e-3)
    for name, gradient in gradients.items():
        assert (on_gpu[name] - gradient).norm() <= 0.01 * gradient.norm() + 1e-6, name


@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")  # asked for by nobody, as they round
def test_a_compiled_network_has_the_loss_and_gradient_of_a_plain_one(
    streams: StreamSet, network: Network, config: TrainConfig
) -> None:
    config = config.model_copy(update={"amp": "off"})
    expected, gradients = loss_and_gradient(GPU, streams, network, config)
    found, of_compiled = loss_and_gradient(GPU, streams, network, config, compiled=True)
    assert found == pytest.approx(expected, rel=1e-3)
    for name, gradient in gradients.items():
        assert (of_compiled[name] - gradient).norm() <= 0.01 * gradient.norm() + 1e-6, name


def test_features_lie_on_the_gpu_and_are_cut_there(
    streams: StreamSet, network: Network, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = objective_on(GPU, streams, network, config)
    held = objective.sampler.batch(5)
    assert held.features.device.type == "cuda"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (0, 0))
    read = objective_on(GPU, streams, network, config).sampler.batch(5)
    assert read.features.device.type == "cpu"
    assert torch.equal(read.features, held.features.cpu()) and torch.equal(read.positive, held.positive)


def test_a_stream_is_scored_as_on_a_cpu(streams: StreamSet, network: Network) -> None:
    network.eval()
    features = streams.features(streams.streams[0])
    expected = score_stream(network, features)
    assert torch.allclose(score_stream(copy.deepcopy(network).to(GPU), features), expected, atol=1e-3)


@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
def test_it_learns_and_gives_the_same_bytes_whether_cut_off_or_not(
    streams: StreamSet, network: Network, config: TrainConfig, amp: str, tmp_path: Path
) -> None:
    config = config.model_copy(update={"amp": amp})

    def judge(candidate: Network) -> dict[str, float]:
        return {"mean_recall": score_stream(candidate, streams.features(streams.streams[0])).mean().item(), "frr": 0.0}

    def trained(name: str, judge: loop.Judge = judge) -> loop.Training:
        copied = copy.deepcopy(network).to(GPU)
        objective = objective_on(GPU, streams, copied, config)
        return loop.train(copied, objective, judge, config, 0.01, 1, tmp_path / name)

    whole = trained("whole")
    with pytest.raises(Cut):
        trained("cut", cut_after(1, judge))
    resumed = trained("cut")
    assert whole.history[-1]["loss"] < 0.8 * whole.history[0]["loss"]
    assert resumed.history == whole.history
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], tensor), name


def test_the_stages_take_the_gpu_by_themselves(tmp_path: Path) -> None:
    project = tiny_training.make(tmp_path, device="auto")
    for stage in ("find_lr", "train"):
        told = run(stage, project)
        assert told.returncode == 0, told.stderr
    assert "device=cuda" in told.stderr + told.stdout
    assert (project / "models/best_model.pt").exists()
