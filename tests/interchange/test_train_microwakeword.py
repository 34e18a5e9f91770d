"""Training for microWakeWord keeps to `params.yaml`, and goes on only where the same training was interrupted."""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed; the extra interchange brings it")
pytest.importorskip("pymicro_wakeword", reason="pymicro-wakeword is not installed; the extra interchange brings it")

from tools import microwakeword as tool

from wakeword.base.errors import UserError
from wakeword.features.store import Segment, Stream, write
from wakeword.interchange.micro_frontend import CHANNELS, FRONTEND
from wakeword.models.config import DsTcnConfig
from wakeword.models.network import Network, score_stream
from wakeword.runtime_config import RuntimeConfig
from wakeword.training.config import BatchConfig, MiningConfig, PhonemesConfig, TeacherConfig, TrainConfig

CONFIG = TrainConfig(lr=0.003, epochs=3, steps_per_epoch=4, threads=1, batches=BatchConfig(size=8, window_s=1.6))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep checkpoints apart, and put PyTorch back as it was."""
    monkeypatch.setattr(tool, "CACHE", tmp_path / "cache")
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def heard(folder: Path, seed: int = 1) -> Path:
    """Return what `tool.heard` might: streams of noise in which something else is said every two seconds."""
    rng = np.random.default_rng(seed)
    said = [f"{one} {two}" for one, two in product("abcdef", repeat=2)]
    folder.mkdir()
    for split in ("train", "dev"):
        segments = [
            Segment(2.0 * k + 1, 2.0 * k + 1.5, "positive", "phrase", "somebody", f"clip {k}", 0, True, said[k])
            if k % 3 == 0
            else Segment(2.0 * k + 1, 2.0 * k + 1.5, "negative", "word", "somebody", f"clip {k}", None, True, said[k])
            for k in range(29)
        ]
        stream = Stream(split, split, 0, 6000, segments)
        features = rng.normal(3.0, 1.0, (6000, CHANNELS))
        write(folder, split, [(stream, features, np.zeros(0, np.int16))], FRONTEND, CHANNELS, audio_s=0.0)
    return folder


def trained(streams: Path, **changes: Any) -> Network:
    params = tool.Params(
        phrases=["hey you"],
        seed=1,
        model=DsTcnConfig(channels=8, kernel=3, dilations=[1], stacks=1),
        train=CONFIG.model_copy(update=changes),
        runtime=RuntimeConfig(device="cpu"),
    )
    return tool.trained(params, streams)


def same(one: Network, two: Network) -> bool:
    others = two.state_dict()
    return all(torch.equal(value, others[name]) for name, value in one.state_dict().items())


def interrupt(streams: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until Ctrl-C in the judgement of the second epoch."""
    judged = 0

    def cut(network: Network, features: np.ndarray) -> torch.Tensor:
        nonlocal judged
        judged += 1
        if judged == 2:
            raise KeyboardInterrupt
        return score_stream(network, features)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tool, "score_stream", cut)
        trained(streams)


def test_an_interrupted_training_goes_on_with_the_same_data_and_code_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    one, two = heard(tmp_path / "one"), heard(tmp_path / "two", seed=2)
    whole, other = trained(one), trained(two)
    assert not same(whole, other)
    interrupt(one, monkeypatch)
    assert same(trained(two), other)
    # A module of ours that was not there before stands for an edit of one that was.
    (tmp_path / "edited.py").write_text("VALUE = 1\n")
    edited = ModuleType("wakeword.edited")
    edited.__file__ = str(tmp_path / "edited.py")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "wakeword.edited", edited)
        assert same(trained(one), whole)
    assert "going on" not in caplog.text
    assert same(trained(one), whole)
    assert "going on" in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"phonemes": PhonemesConfig(utterances=4)},
        {"mining": MiningConfig(every=1, share=0.5, threshold=0.01)},
    ],
)
def test_the_section_train_acts(tmp_path: Path, changes: dict[str, Any]) -> None:
    streams = heard(tmp_path / "heard")
    assert not same(trained(streams), trained(streams, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": TeacherConfig(files=["best_model.pt"])}, r"train\.teacher is set.*set it to null"),
        ({"nproc": 2}, r"train\.nproc is 2.*set it to 1"),
    ],
)
def test_what_cannot_be_kept_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    section = CONFIG.model_copy(update=changes).model_dump_json()
    (tmp_path / "params.yaml").write_text(f"phrases: [hey you]\nseed: 1\ntrain: {section}\n")
    with pytest.raises(UserError, match=message):
        tool.run()
