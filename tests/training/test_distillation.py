"""Distillation: its loss by hand, teacher and student at the same moments, who may teach, and that a student learns."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import binary_cross_entropy

from tests.training.conftest import BATCHES, FRONTEND, LOSS, MODEL, tells_tones_apart
from wakeword.base.errors import UserError
from wakeword.features.cmvn import accumulate
from wakeword.features.store import StreamSet
from wakeword.models import checkpoint
from wakeword.models.checkpoint import TrainedModel
from wakeword.models.config import CrnnConfig, DsTcnConfig, MixedNetConfig, ModelConfig
from wakeword.models.network import Network
from wakeword.training import distillation, loop
from wakeword.training.config import BatchConfig, TeacherConfig, TrainConfig
from wakeword.training.distillation import Teacher, distillation_bce, load_teacher, logits_at
from wakeword.training.objective import Objective
from wakeword.training.sampler import WindowSampler

CPU = torch.device("cpu")
ALONE = TeacherConfig(files=["a.pt"], weight=1.0)
SHORT = MixedNetConfig(stride=1, stem_channels=8, channels=8, kernels=[[3], [5]], head_frames=2)
SMALL: dict[str, ModelConfig] = {
    "stride 1": SHORT,
    "stride 2": DsTcnConfig(channels=8, kernel=3, dilations=[1, 2], stacks=1),
    "stride 3": CrnnConfig(channels=4, hidden=8, context=5, dense=8),
    "stride 4": SHORT.model_copy(update={"stride": 4}),
}


def built(streams: StreamSet, config: ModelConfig, seed: int = 5) -> Network:
    """Return a network in evaluation mode whose logits spread by about 2."""
    torch.manual_seed(seed)
    network = Network(config, accumulate([streams.all_features], FRONTEND.fingerprint), FRONTEND.floor, phrases=1)
    features = torch.from_numpy(streams.all_features[:2000].astype("float32"))[None]
    head = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        network.train()(features)
        spread, mean = torch.std_mean(network.eval()(features))
        head.weight *= 2.0 / spread
        assert head.bias is not None
        head.bias.copy_((head.bias - mean) * 2.0 / spread)
    return network


def trained(network: Network, **changes: object) -> TrainedModel:
    return replace(TrainedModel(network, FRONTEND, ["a"], "en", {"data": "d", "params": "p"}), **changes)  # type: ignore[arg-type]


def objective_with(
    streams: StreamSet, network: Network, teacher: Teacher | None, batches: BatchConfig = BATCHES
) -> Objective:
    sampler = WindowSampler(streams, 1, batches, LOSS, network.receptive_field, network.stride, seed=1)
    return Objective(sampler, FRONTEND, batches, LOSS, CPU, None, teacher=teacher)


def gradients(objective: Objective, network: Network) -> torch.Tensor:
    network.zero_grad()
    objective(network, 0).backward()
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])


def test_the_loss_by_hand() -> None:
    # At temperature 2 the teacher says 3/4, 3/4 and 1/5; at 1 it says 9/10, 9/10 and 1/17.
    taught = 2 * torch.tensor([math.log(3), math.log(3), -math.log(4)]).reshape(1, 3, 1, 1)
    student = 2 * torch.tensor([-math.log(3), -math.log(3), 0.0]).reshape(1, 3, 1)  # 1/4, 1/4 and 1/2
    wrong = 4 * -(0.75 * math.log(0.25) + 0.25 * math.log(0.75))
    unsure = 4 * math.log(2)
    phrase = (2 * 0.9 * wrong + unsure / 17) / (2 * 0.9 + 1 / 17)
    other = (2 * 0.1 * wrong + 16 / 17 * unsure) / (2 * 0.1 + 16 / 17)
    assert distillation_bce(student, taught, 2.0, 3.0).item() == pytest.approx(phrase + 3 * other, rel=1e-6)


def test_a_thousand_frames_of_silence_do_not_drown_the_phrase() -> None:
    pulls = []
    for silent in (10, 1000):
        taught = torch.tensor([4.0] * 3 + [-8.0] * silent).reshape(1, -1, 1, 1)
        student = torch.tensor([-4.0] * 3 + [-8.0] * silent).reshape(1, -1, 1).requires_grad_()
        distillation_bce(student, taught, 2.0, 1.0).backward()
        assert student.grad is not None
        pulls.append(-student.grad[0, :3].sum().item())
    assert pulls[1] > 0.8 * pulls[0] > 0


def test_the_probabilities_of_several_teachers_are_averaged() -> None:
    generator = torch.Generator().manual_seed(1)
    student, *teachers = (3.0 * torch.randn(2, 9, 1, generator=generator) for _ in range(4))
    mean = torch.stack([torch.sigmoid(teacher) for teacher in teachers]).mean(0)
    one = torch.logit(mean)[..., None]
    several = torch.stack(teachers, dim=-1)
    expected = distillation_bce(student, one, 1.0, 1.0).item()
    assert distillation_bce(student, several, 1.0, 1.0).item() == pytest.approx(expected, rel=1e-5)
    losses = binary_cross_entropy(torch.sigmoid(student), mean, reduction="none")
    parts = [(losses * weights).sum() / weights.sum() for weights in (mean, 1 - mean)]
    assert expected == pytest.approx(sum(parts).item(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 8.0])
def test_nothing_is_left_to_learn_where_the_student_agrees(temperature: float) -> None:
    logits = torch.linspace(-20.0, 20.0, 60).reshape(2, 30, 1).requires_grad_()
    distillation_bce(logits, logits.detach()[..., None], temperature, 1.0).backward()
    assert logits.grad is not None and logits.grad.abs().max() < 1e-6


def test_scores_that_the_teacher_cannot_give_are_left_to_the_labels(streams: StreamSet) -> None:
    logits = torch.tensor([5.0, -7.0, 1.0, 2.0, -3.0]).reshape(1, 5, 1).requires_grad_()
    teacher = Teacher([trained(built(streams, MODEL))], TeacherConfig(files=["a.pt"], weight=0.25), CPU)
    taught = logits.detach()[:, 2:, :, None]
    teacher.blend(logits[:, 0, 0].sum(), logits, taught, 1.0).backward()
    assert logits.grad is not None
    # Of the labels' loss, the first score itself, three quarters are left; with the teacher there is nothing to settle.
    assert torch.allclose(logits.grad.flatten(), torch.tensor([0.75, 0.0, 0.0, 0.0, 0.0]), atol=1e-6)


@pytest.mark.parametrize("mix", [0.0, 0.5])
def test_a_student_that_equals_its_teacher_has_no_gradient(streams: StreamSet, mix: float) -> None:
    network = built(streams, MODEL)
    batches = BATCHES.model_copy(update={"mixup": mix})
    by_label = gradients(objective_with(streams, network, None, batches), network)
    same = Teacher([trained(copy.deepcopy(network))], ALONE, CPU)
    # The teacher sees what the student sees, augmented and mixed, or they could not agree.
    assert gradients(objective_with(streams, network, same, batches), network).norm() < 1e-5 * by_label.norm()
    other = Teacher([trained(built(streams, MODEL, seed=6))], ALONE, CPU)
    assert gradients(objective_with(streams, network, other, batches), network).norm() > 0.01 * by_label.norm()
    half = Teacher([trained(copy.deepcopy(network))], TeacherConfig(files=["a.pt"], weight=0.25), CPU)
    found = gradients(objective_with(streams, network, half, batches), network)
    assert torch.allclose(found, 0.75 * by_label, rtol=1e-3, atol=1e-4 * by_label.abs().max().item())


@pytest.mark.parametrize("mix", [0.0, 0.4])
def test_micro_batches_add_up_to_what_the_teacher_says_of_the_batch(streams: StreamSet, mix: float) -> None:
    network, batches = built(streams, MODEL), BATCHES.model_copy(update={"mixup": mix})
    other = Teacher([trained(built(streams, MODEL, seed=6))], ALONE, CPU)
    objective = objective_with(streams, network, other, batches)
    expected, loss = gradients(objective, network), objective(network, 0).item()
    objective.accumulate = 4
    network.zero_grad()
    assert objective.backward(network, 0).item() == pytest.approx(loss, rel=1e-5)
    found = torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item())


def newest_heard(score: torch.Tensor) -> list[int]:
    """Return how many frames each score has heard.

    Args:
        score: `(time + 1, scores)`: in row `k` all frames from `k` on are changed, in the last row none.
    """
    changed = score[:-1] != score[-1]
    return [1 + int(changed[:, index].nonzero().max()) for index in range(score.shape[1])]


@pytest.mark.parametrize("teaching", SMALL)
@pytest.mark.parametrize("learning", SMALL)
def test_teacher_and_student_speak_of_the_same_moment(streams: StreamSet, teaching: str, learning: str) -> None:
    master, student = built(streams, SMALL[teaching]), built(streams, SMALL[learning])
    time = max(master.receptive_field, student.receptive_field) + 11
    window = torch.from_numpy(streams.all_features[300 : 300 + time].astype("float32"))
    other = torch.from_numpy(streams.all_features[2300 : 2300 + time].astype("float32"))
    features = torch.stack([torch.cat([window[:k], other[k:]]) for k in range(time + 1)])
    teacher = Teacher([trained(master)], ALONE, CPU)
    taught = teacher.scores(features, student.receptive_field, student.stride)[:, :, 0, 0]
    with torch.no_grad():
        learned = student(features)[:, :, 0][:, -taught.shape[1] :]
    moments = newest_heard(taught)
    assert moments == newest_heard(learned)
    # None is missing: the moment before the first is too early for one of the two.
    assert min(moments) - student.stride < max(master.receptive_field, student.receptive_field) <= min(moments)
    assert max(moments) > time - student.stride


@pytest.mark.parametrize("name", SMALL)
def test_a_score_is_that_of_the_frames_before_it_alone(streams: StreamSet, name: str) -> None:
    network = built(streams, SMALL[name])
    field = network.receptive_field
    features = torch.from_numpy(streams.all_features[: 2 * (field + 17)].astype("float32")).reshape(2, field + 17, -1)
    ends = [field, field + 1, field + 5, field + 6, field + 17]
    with torch.no_grad():
        found = logits_at(network, features, ends)
        for index, end in enumerate(ends):
            alone = network(features[:, end - field : end])[:, 0]
            assert torch.allclose(found[:, index], alone, atol=1e-4)


def test_a_teacher_that_scores_as_often_is_asked_once(streams: StreamSet) -> None:
    network = built(streams, SMALL["stride 2"])
    asked = []
    network.register_forward_pre_hook(lambda _network, inputs: asked.append(inputs[0].shape[1]))
    features = torch.zeros(1, 101, FRONTEND.mels)
    for field, stride, times in ((31, 2, 1), (30, 4, 1), (31, 3, 2)):
        asked.clear()
        Teacher([trained(network)], ALONE, CPU).scores(features, field, stride)
        assert len(asked) == times


def test_windows_too_short_for_the_teacher_are_refused(streams: StreamSet, network: Network) -> None:
    long = built(streams, MODEL.model_copy(update={"stacks": 6}))
    teacher = Teacher([trained(network), trained(long)], ALONE, CPU)
    needed = long.receptive_field / 100 + 0.35
    assert needed > BATCHES.window_s
    with pytest.raises(
        UserError, match=rf"window_s is 1\.6, but a teacher .* set it to at least {needed:.2f}, or teach"
    ):
        objective_with(streams, network, teacher)
    fits = BATCHES.model_copy(update={"window_s": round(needed, 2)})
    assert math.isfinite(objective_with(streams, network, teacher, fits)(network, 0).item())


def test_a_student_learns_from_its_teacher_alone(streams: StreamSet, config: TrainConfig, tmp_path: Path) -> None:
    def judge(_candidate: Network) -> dict[str, float]:
        return {"mean_recall": 0.0, "frr": 0.0}

    def fresh(model: ModelConfig, seed: int) -> Network:
        torch.manual_seed(seed)
        return Network(model, accumulate([streams.all_features], FRONTEND.fingerprint), FRONTEND.floor, phrases=1)

    first = fresh(MODEL, 3)
    master = loop.train(first, objective_with(streams, first, None), judge, config, 0.01, 1, tmp_path / "a").network
    assert tells_tones_apart(streams, master)
    # Of another stride and without a word of the labels in its loss.
    student = fresh(MODEL.model_copy(update={"stride": 3}), 4)
    assert not tells_tones_apart(streams, copy.deepcopy(student).eval())
    objective = objective_with(streams, student, Teacher([trained(master)], ALONE, CPU))
    before = copy.deepcopy(master.state_dict())
    learned = loop.train(student, objective, judge, config, 0.01, 1, tmp_path / "b")
    assert tells_tones_apart(streams, learned.network)
    assert all(torch.equal(before[name], tensor) for name, tensor in master.state_dict().items())


@pytest.fixture
def teachers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(distillation, "TEACHERS", tmp_path)
    return tmp_path


def loaded(*files: str) -> Teacher:
    return load_teacher(TeacherConfig(files=list(files)), FRONTEND, ["a"], "en", CPU)


def test_teachers_are_read_from_their_files(streams: StreamSet, teachers: Path) -> None:
    models = [built(streams, SMALL["stride 2"], seed) for seed in (5, 6)]
    for name, model in zip(("a", "b"), models, strict=True):
        checkpoint.save(teachers / f"{name}.pt", trained(model), SMALL["stride 2"])
    features = torch.randn(3, 60, FRONTEND.mels, generator=torch.Generator().manual_seed(2))
    taught = loaded("b.pt", "a.pt").scores(features, 40, 2)
    with torch.no_grad():
        expected = [logits_at(model, features, range(40, 61, 2)) for model in reversed(models)]
    assert torch.equal(taught, torch.stack(expected, dim=-1))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"phrases": ["b"]}, r"was trained with phrases \['b'\], but params.yaml has \['a'\]; train a teacher"),
        ({"language": "fr"}, "was trained with language fr, but params.yaml has en"),
        ({"frontend": FRONTEND.model_copy(update={"floor": 1e-5})}, "was trained with features .*1e-05"),
    ],
)
def test_who_learned_something_else_does_not_teach(
    streams: StreamSet, teachers: Path, changes: dict, told: str
) -> None:
    model = built(streams, SMALL["stride 2"])
    checkpoint.save(teachers / "right.pt", trained(model), SMALL["stride 2"])
    checkpoint.save(teachers / "wrong.pt", trained(model, **changes), SMALL["stride 2"])
    loaded("right.pt")
    with pytest.raises(UserError, match=rf"wrong\.pt, which train\.teacher\.files names, {told}"):
        loaded("right.pt", "wrong.pt")


def test_a_missing_or_broken_file_is_named(teachers: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.pt, which .* is missing; copy a trained models/best_model\.pt there"):
        loaded("gone.pt")
    (teachers / "broken.pt").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"a file that can't teach: cannot read .*broken\.pt"):
        loaded("broken.pt")


@pytest.mark.parametrize("files", [[], ["a.pt", "a.pt"], ["../a.pt"], ["/a.pt"], [""]])
def test_files_lie_below_their_folder_each_once(files: list[str]) -> None:
    with pytest.raises(ValidationError):
        TeacherConfig(files=files)


def test_a_student_keeps_who_taught_it_and_on_what(streams: StreamSet, teachers: Path) -> None:
    model = built(streams, SMALL["stride 2"])
    prints = {"a": {"data": "d"}, "b": {"data": "d", "params": "q"}, "c": {"data": "e"}}
    prints |= {"pupil": {"data": "d", "teacher_data": "f+e"}}
    for name, each in prints.items():
        checkpoint.save(teachers / f"{name}.pt", trained(model, fingerprints=each), SMALL["stride 2"])
    found = [loaded(*files).provenance("d") for files in (["a.pt"], ["b.pt"], ["a.pt", "b.pt"])]
    assert all(set(each) == {"teacher"} for each in found) and len({each["teacher"] for each in found}) == 3
    assert loaded("a.pt").provenance("d") == found[0]
    assert loaded("a.pt").provenance("g")["teacher_data"] == "d"
    assert loaded("a.pt", "c.pt").provenance("d")["teacher_data"] == "e"
    assert loaded("a.pt", "pupil.pt").provenance("d")["teacher_data"] == "e+f"
