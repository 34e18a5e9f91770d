import math
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.networks import SLOW, SMALL, noise, trained
from wakeword.base.errors import UserError
from wakeword.export import parity
from wakeword.export.config import Budget, ExportConfig
from wakeword.export.graph import build
from wakeword.export.parity import Counts, Recording, check_cost, check_counts, check_size, compare, cpu_cost
from wakeword.models.config import DsTcnConfig
from wakeword.runtime.scorer import Scorer

RECORDINGS = [Recording(f"clip {index}", noise(0.7 + index / 10, seed=index)) for index in range(4)]


@pytest.mark.parametrize(("config", "hop"), [(SMALL, 320), (SLOW, 480)])
def test_a_faithful_file_passes(config: DsTcnConfig, hop: int) -> None:
    model = trained(config)
    results = list(compare(model, Scorer(build(model)), RECORDINGS, 1e-4, seed=1))
    assert len(results) == len(RECORDINGS)
    for (scores, difference), recording in zip(results, RECORDINGS, strict=True):
        assert scores.shape == (len(recording.pcm) // hop, 1)
        assert 0 <= difference <= 1e-4


def test_an_empty_recording_and_one_shorter_than_a_hop_pass() -> None:
    model = trained()
    short = [Recording("nothing", noise(0.0)), Recording("a bit", noise(0.01))]
    assert [len(scores) for scores, _ in compare(model, Scorer(build(model)), short, 1e-4, seed=1)] == [0, 0]


def test_a_file_of_other_weights_is_refused_and_the_clip_named() -> None:
    model = trained()
    scorer = Scorer(build(model))
    with torch.no_grad():
        model.network.body.blocks[3].pointwise.weight[0, 0] += 0.05
    with pytest.raises(UserError, match=r"clip 0 as a whole: by [\d.e-]+ at \d+\.\d\d s"):
        list(compare(model, scorer, RECORDINGS, 1e-4, seed=1))


def test_a_file_that_forgets_between_chunks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()

    class Forgetful(Scorer):
        def fresh(self) -> Scorer:
            other = super().fresh()
            other.__class__ = Forgetful
            return other

        def score(self, pcm: np.ndarray) -> np.ndarray:
            scores = super().score(pcm)
            self._state = self._start
            return scores

    with pytest.raises(UserError, match="clip 0 in random chunks"):
        list(compare(model, Forgetful(build(model)), RECORDINGS, 1e-4, seed=1))


def test_nan_is_no_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()
    monkeypatch.setattr(parity, "trained_scores", lambda _, pcm: np.full((len(pcm) // 320, 1), math.nan))
    with pytest.raises(UserError, match="clip 0"):
        list(compare(model, Scorer(build(model)), RECORDINGS, 1e-4, seed=1))


def test_other_numbers_of_scores_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()
    monkeypatch.setattr(parity, "trained_scores", lambda _, pcm: np.zeros((3, 1)))
    with pytest.raises(UserError, match=r"35 scores for clip 0.*training's code 3"):
        list(compare(model, Scorer(build(model)), RECORDINGS, 1e-4, seed=1))


@pytest.mark.parametrize(
    ("misses", "false_alarms", "refused"),
    [(10, 4, None), (12, 4, None), (13, 4, "misses 13 of 400"), (3, 4, None), (10, 6, None), (10, 7, "7 false alarms")],
)
def test_int8_may_lose_what_the_bounds_say(misses: int, false_alarms: int, refused: str | None) -> None:
    config = ExportConfig(int8_frr_points=0.5, int8_fah=0.5)  # 2 of 400 keywords, 2 in 4 hours
    fp32, int8 = Counts(10, 400, 4, 4.0), Counts(misses, 400, false_alarms, 4.0)
    if refused is None:
        check_counts("computer", fp32, int8, config)
    else:
        with pytest.raises(UserError, match=refused):
            check_counts("computer", fp32, int8, config)


def test_one_count_is_always_allowed() -> None:
    config = ExportConfig(int8_frr_points=0.0, int8_fah=0.0)
    check_counts("computer", Counts(0, 20, 0, 0.1), Counts(1, 20, 1, 0.1), config)
    with pytest.raises(UserError, match="misses 2 of 20"):
        check_counts("computer", Counts(0, 20, 0, 0.1), Counts(2, 20, 0, 0.1), config)


def test_sizes_are_held_to_the_budget() -> None:
    budget = Budget(fp32_kb=2.0, int8_kb=1.0)
    check_size("a.onnx", bytes(2000), "fp32_kb", budget)
    with pytest.raises(UserError, match=r"a\.onnx has 2\.0 kB, export\.budget\.int8_kb allows 1"):
        check_size("a.onnx", bytes(2000), "int8_kb", budget)


def test_cost_is_the_least_of_the_repeats_and_held_to_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = (value for ticks in count() for value in (float(ticks), ticks + 0.4))

    def process_time(times: Iterator[float] = clock) -> float:
        return next(times)

    monkeypatch.setattr(parity.time, "process_time", process_time)
    assert cpu_cost(Scorer(build(trained())), seconds=0.8, repeats=2) == pytest.approx(0.5)
    check_cost("a.onnx", 0.5, Budget(cpu_s_per_s=0.5))
    with pytest.raises(UserError, match=r"a\.onnx takes 0\.5000 CPU seconds"):
        check_cost("a.onnx", 0.5, Budget(cpu_s_per_s=0.4))


def test_cost_is_measured_in_earnest(tmp_path: Path) -> None:
    assert 0 < cpu_cost(Scorer(build(trained())), seconds=0.4, repeats=3) < 1
