import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import peers_accuracy
from benchmarks.peers import PEERS_PYTHON
from benchmarks.peers_accuracy import figures, listened, refractory, report, slug, stepped, swept, truth

from tests.engines.test_espeak import recorded, said
from tests.export.networks import noise, trained, with_policy
from wakeword.detection.policy import Policy
from wakeword.evaluation.config import EvaluateConfig
from wakeword.evaluation.judging import scored_streams
from wakeword.evaluation.metrics import Tally, frr_at_fah, measure
from wakeword.features.frontend import HOP, SAMPLE_RATE
from wakeword.features.store import Segment, Stream, StreamSet, write

CONFIG = EvaluateConfig()
SHIFT_MS = 20.0


def streams(minutes: int = 10) -> StreamSet:
    """Return two streams under two conditions with a keyword every half minute, of the same recordings."""
    frames = minutes * 60 * SAMPLE_RATE // HOP
    keywords = [
        Segment(30.0 * k + 10, 30.0 * k + 11, "positive", "phrase", "somebody", f"clip {k}", 0, False)
        for k in range(2 * minutes - 1)
    ]
    listed = [Stream(name, name, index * frames, frames, keywords) for index, name in enumerate(("clean", "noisy"))]
    return StreamSet(listed, "none", np.zeros((0, 40), np.float16), np.zeros(0, np.int16))


def scores(test: StreamSet) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.random((int(stream.seconds * 50), 1), dtype=np.float32) ** 40 for stream in test.streams]


def test_our_figures_are_those_of_the_evaluate_stage() -> None:
    test, policy = streams(), Policy(0.9, 0.5, smoothing_frames=1)
    scored = scores(test)
    pairs = scored_streams(test.streams, scored, 0)
    found = figures(test, 0, swept("wakeword", pairs, policy, SHIFT_MS, CONFIG).events(0.9), CONFIG.tolerance_ms)
    assert 0 < found["misses"] < found["keywords"] and found["false_alarms"] > 0
    for pair, condition in zip(pairs, ("clean", "noisy"), strict=True):
        assert found["conditions"][condition] == measure([pair], policy, SHIFT_MS, CONFIG.tolerance_ms).figures()
    pooled = measure(pairs, policy, SHIFT_MS, CONFIG.tolerance_ms).figures()
    # Each keyword is said twice: as many trials as there are recordings.
    assert found["frr_interval"][1] > pooled.pop("frr_interval")[1]
    assert pooled.items() <= found.items()


def test_counts_by_hand() -> None:
    test = streams(minutes=1)  # keywords at 10 to 11 s and nothing else, in each of two streams
    found = figures(test, 0, [[10.5, 30.0], [11.6]], tolerance_ms=500)
    assert (found["keywords"], found["misses"], found["false_alarms"]) == (2, 1, 2)
    assert found["distinct_keywords"] == 1
    assert found["hours"] == pytest.approx(2 * 59 / 3600)
    assert found["conditions"]["clean"]["misses"] == 0 and found["conditions"]["noisy"]["misses"] == 1


def test_the_curve_of_an_engine_without_scores() -> None:
    tallies = [Tally(10, 8, 0, 2.0), Tally(10, 3, 1, 2.0), Tally(10, 1, 6, 2.0)]
    curve = stepped([1.0, 0.5, 0.0], tallies)
    at_half, at_two, at_three = (frr_at_fah(curve, fah) for fah in (0.5, 2.0, 3.0))
    assert (at_half.frr, at_half.threshold) == (0.3, 0.5)
    assert (at_two.frr, at_three.frr, at_three.fah) == (0.3, 0.1, 3.0)


def test_ours_is_compared_at_no_more_false_alarms_than_the_peer_has() -> None:
    test = streams()
    pairs = scored_streams(test.streams, scores(test), 0)
    mine = swept("wakeword", pairs, Policy(0.9, 0.5), SHIFT_MS, CONFIG)
    other = swept("peer", pairs, Policy(0.99, 0.5), SHIFT_MS, CONFIG)
    told = report(other, mine, test, 0, CONFIG)
    assert told["ours_at_its_fah"]["fah"] <= told["own"]["fah"]
    assert set(told["at_fah"]) == {"0.1", "0.5", "1", "2"}


def test_a_peer_without_a_false_alarm_can_be_compared() -> None:
    test = streams()
    mine = swept("wakeword", scored_streams(test.streams, scores(test), 0), Policy(0.9, 0.5), SHIFT_MS, CONFIG)
    silent = [pair._replace(scores=np.zeros(30_000, np.float32)) for pair in truth(test.streams, 0)]
    told = report(swept("peer", silent, Policy(0.5, 0.4), SHIFT_MS, CONFIG), mine, test, 0, CONFIG)
    assert told["own"]["frr"] == 1.0 and told["ours_at_its_fah"]["fah"] == 0.0


def test_an_engine_that_fires_twice_is_counted_once() -> None:
    assert refractory([1.0, 1.5, 2.0, 2.9, 3.1], 1000) == [1.0, 2.0, 3.1]


@pytest.mark.parametrize(
    ("engine", "phrase", "step_s"),
    [("porcupine", "snowboy", None), ("openwakeword", "alexa", 0.08), ("microwakeword", "alexa", 0.03)],
)
def test_a_peer_hears_its_phrase_when_it_is_said(
    tmp_path: Path, engine: str, phrase: str, step_s: float | None
) -> None:
    if not PEERS_PYTHON.exists():
        pytest.skip("the peers are not installed here; `make .cache/peers/installed` does it")
    recording = recorded(said(phrase, rate_wpm=130))
    silence = np.zeros(2 * SAMPLE_RATE, dtype=np.int16)
    pcm = np.concatenate([silence, recording.pcm, silence])
    np.save(tmp_path / "audio.npy", np.concatenate([silence, pcm]))
    span = [(len(silence), len(silence) + len(pcm)), (0, len(silence))]
    asked = {"phrase": phrase, "model": "", "sensitivity": 0.5, "audio": str(tmp_path / "audio.npy"), "spans": span}
    spoken, quiet = listened(what="streams", engine=engine, **asked)
    if step_s is None:
        times = spoken
        assert not quiet
    else:
        assert len(spoken) == int(len(pcm) / SAMPLE_RATE / step_s)
        times = [(index + 1) * step_s for index, score in enumerate(spoken) if score > 0.5]
        assert max(quiet) < 0.5
    start, end = (2 + sample / SAMPLE_RATE for sample in recording.active)
    assert times and all(start < time < end + 0.7 for time in times)


def test_where_no_peer_knows_the_phrase_it_says_what_they_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_accuracy, "listened", lambda what: {"one": ["alexa"], "two": ["jarvis", "hey you"]})
    monkeypatch.setattr(StreamSet, "open", lambda folder, split: streams())
    options = argparse.Namespace(openwakeword=[], microwakeword=[])
    with pytest.raises(SystemExit, match=r"no peer knows 'abracadabra'[\s\S]*two knows jarvis, hey you"):
        peers_accuracy.contest("abracadabra", 0, options, CONFIG)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where a model of two phrases lies beside a minute of test stream, in which both are said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("phrases: [phrase 0, phrase 1]\n")
    (tmp_path / "model.onnx").write_bytes(with_policy(trained(phrases=2)))
    segments = [
        Segment(20.0 * k + 5, 20.0 * k + 6, "positive", "phrase", "somebody", f"clip {k}", k % 2, False)
        for k in range(3)
    ]
    stream = Stream("a stream", "clean", 0, 6000, segments)
    features = tmp_path / "data" / "npy"
    features.mkdir(parents=True)
    write(features, "test", [(stream, np.zeros((6000, 1)), noise(60.0))], "none", 1, audio_s=60.0)
    return tmp_path


def test_a_model_for_a_peer_is_judged_on_its_own_phrase_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(**asked: Any) -> Any:
        """Answer for the peers' interpreter: openWakeWord knows no phrase, and hears a little of every one."""
        if asked["what"] == "streams":
            assert slug(asked["phrase"]) == Path(asked["model"]).stem
            return [[0.1] * 750]
        return {"openwakeword": []}

    monkeypatch.setattr(peers_accuracy, "listened", answer)
    monkeypatch.setattr(peers_accuracy, "versions", lambda: {"openwakeword": "1"})
    arguments = ["--model", "model.onnx", "--results", ".", "--openwakeword", "phrase_1.onnx", "made/phrase_0.onnx"]
    monkeypatch.setattr(sys, "argv", ["peers_accuracy", *arguments])
    peers_accuracy.main()
    for name in ("phrase_0", "phrase_1"):
        told = json.loads((project / f"peers_accuracy_{name}.json").read_text())
        assert [row["engine"] for row in told["engines"]] == ["wakeword", f"openwakeword 1 with {name}.onnx"]


@pytest.mark.parametrize("option", ["--openwakeword", "--microwakeword"])
def test_a_model_for_a_peer_of_no_phrase_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["peers_accuracy", "--model", "model.onnx", option, "phrase_0.json", "alexa.json"])
    with pytest.raises(SystemExit, match=r"alexa\.json is of no phrase .*name it phrase_0\.json or phrase_1\.json"):
        peers_accuracy.main()
