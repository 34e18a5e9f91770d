"""The page's JavaScript gives what the Python runtime gives."""

import base64
from dataclasses import asdict

import numpy as np
import onnx
import pytest

from tests.export.networks import SLOW, SMALL, noise, trained, with_policy
from tests.models.networks import CONFIGS
from tests.web.javascript import ask, decode, encode, needs_node, needs_vendored
from wakeword.detection.policy import GRID, Policy, detect, smooth
from wakeword.export.graph import build, with_metadata
from wakeword.models.config import ModelConfig
from wakeword.runtime.detector import Detector
from wakeword.runtime.resample import Resampler

pytestmark = needs_node
OTHERS = [CONFIGS[name] for name in ("bc_resnet", "mixed_net", "crnn", "conformer")]
GOOD = asdict(Policy(threshold=0.7, release=0.5, smoothing_frames=3, votes=2, votes_window=4, refractory_ms=500))


def random_policy(rng: np.random.Generator) -> Policy:
    threshold = float(rng.choice([rng.uniform(0.05, 1.0), 1.0, 0.5, GRID]))
    window = int(rng.integers(1, 9))
    return Policy(
        threshold=threshold,
        release=float(max(threshold * rng.choice([1.0, 0.8, 0.3]), GRID)),
        smoothing_frames=int(rng.choice([1, 2, 3, 7, 50])),
        votes=int(rng.integers(1, window + 1)),
        votes_window=window,
        refractory_ms=int(rng.choice([0, 1, 20, 333, 1000])),
    )


def random_scores(rng: np.random.Generator) -> np.ndarray:
    """Return scores that rise and fall, meet round values, lie between grid steps, and are at times no scores."""
    frames = int(rng.integers(0, 400))
    scores = np.clip(np.convolve(rng.normal(size=frames + 4), np.full(5, 0.35), "valid") + 0.3, -0.2, 1.2)
    kind = rng.random(frames)
    scores = np.where(kind < 0.2, np.round(scores * 4) / 4, scores)
    scores = np.where((kind > 0.2) & (kind < 0.25), (rng.integers(0, 5, frames) + 0.5) * GRID, scores)
    return np.where(kind > 0.97, rng.choice([np.nan, np.inf, -np.inf], frames), scores)


def test_the_policy_fires_where_the_python_policy_does() -> None:
    rng = np.random.default_rng(1)
    cases = [(random_policy(rng), float(rng.choice([10.0, 20.0, 7.5])), random_scores(rng)) for _ in range(400)]
    request = [{"policy": asdict(p), "frame_shift_ms": shift, "scores": encode(s)} for p, shift, s in cases]
    fired = 0
    for (policy, shift, scores), answer in zip(cases, ask("policy", cases=request), strict=True):
        expected = detect(scores, policy, shift)
        assert [tuple(event) for event in answer["events"]] == [tuple(event) for event in expected], policy
        np.testing.assert_array_equal(decode(answer["smoothed"]), smooth(scores, policy.smoothing_frames))
        fired += len(expected)
    assert fired > 500


def test_a_long_stream_does_not_drift() -> None:
    scores = np.random.default_rng(2).random(200_000).astype(np.float32)
    policy = {**GOOD, "smoothing_frames": 4096}
    (answer,) = ask("policy", cases=[{"policy": policy, "frame_shift_ms": 20, "scores": encode(scores)}])
    np.testing.assert_array_equal(decode(answer["smoothed"]), smooth(scores, 4096))


def test_a_policy_out_of_range_is_refused_and_the_field_named() -> None:
    bad = {"threshold": 1.5, "release": 0.9, "smoothing_frames": 0, "votes": 5, "votes_window": 1.5}
    bad |= {"refractory_ms": -1}
    answers = ask("refused", policies=[GOOD, *({**GOOD, name: value} for name, value in bad.items())])
    assert answers[0] is None
    for (name, value), answer in zip(bad.items(), answers[1:], strict=True):
        assert f"{name} is {value}" in answer


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 44_101, 48_000, 96_000, 96_007])
def test_resampling_is_the_python_one(rate: int) -> None:
    rng = np.random.default_rng(rate)
    samples = rng.uniform(-1, 1, rate // 2).astype(np.float32)
    sizes = rng.integers(0, 3000, 12).tolist()
    (answer,) = ask("resample", cases=[{"rate": rate, "samples": encode(samples), "sizes": sizes}])
    expected = Resampler(rate)
    whole = np.concatenate([expected.process(samples), expected.finish()])
    resampled = decode(answer)
    delay = 0 if rate == 16_000 else 16_000 * max(64 * max(rate, 16_000) // 16_000, 64) // rate + 2
    assert len(whole) - delay <= len(resampled) <= len(whole)
    np.testing.assert_allclose(resampled, whole[: len(resampled)], atol=2e-6)


def test_the_page_reads_what_the_file_says_of_itself() -> None:
    content = with_metadata(with_policy(trained(phrases=2)), {"licence": "© “free”", "empty": "", "long": "x" * 70_000})
    (answer,) = ask("info", files=[base64.b64encode(content).decode()])
    expected = Detector(content).info
    assert answer["phrases"] == list(expected.phrases) and answer["licence"] == "© “free”"
    assert answer["policies"] == {phrase: asdict(policy) for phrase, policy in expected.policies.items()}
    assert (answer["hopSamples"], answer["frameShiftMs"], answer["sampleRate"]) == (320, 20, 16_000)
    assert answer["receptiveFieldMs"] == expected.receptive_field_ms and answer["figures"] == expected.figures


def test_what_is_no_model_of_ours_is_refused_in_words() -> None:
    content = with_policy(trained())
    foreign = onnx.load_from_string(content)
    del foreign.metadata_props[:]
    files = {
        "no ONNX file": b"",
        "is no ONNX file, or": content[: len(content) // 2],
        "lacks 'wakeword_format'": foreign.SerializeToString(),
        "format 9": with_metadata(content, {"wakeword_format": "9"}),
        "no detection policy for 'phrase 0'": build(trained()),
        "'policy' is no JSON": with_metadata(content, {"policy": "{"}),
        "hop_samples is '0'": with_metadata(content, {"hop_samples": "0"}),
    }
    answers = ask("info", files=[base64.b64encode(file).decode() for file in files.values()])
    for message, answer in zip(files, answers, strict=True):
        assert message in answer["problem"]


@needs_vendored
@pytest.mark.parametrize("config", [SMALL, SLOW, *OTHERS])
def test_scores_and_detections_are_those_of_the_python_runtime(config: ModelConfig) -> None:
    content = with_policy(trained(config, phrases=2, mels=24))
    rng = np.random.default_rng(3)
    sounds = [noise(4.0, seed=seed).astype(np.float32) / 32768 for seed in range(2)]
    broken = sounds[0].copy()
    broken[20_000:20_010] = [np.nan, np.inf, -np.inf, 9.0, -9.0] * 2
    cases = [(sound, rng.integers(0, 4000, 12).tolist()) for sound in (*sounds, broken)]
    request = [{"samples": encode(sound), "sizes": sizes} for sound, sizes in cases]
    answers = ask("detect", model=base64.b64encode(content).decode(), cases=request)
    detector = Detector(content)
    for (sound, _), answer in zip(cases, answers, strict=True):
        np.testing.assert_allclose(decode(answer["scores"]).reshape(-1, 2), detector.scores(sound), atol=1e-4)
        detector.reset()
        expected = detector.process(sound)
        found = sorted(answer["detections"], key=lambda detection: detection["timeS"])
        assert [(one["phrase"], one["timeS"]) for one in found] == [(one.phrase, one.time_s) for one in expected]
        np.testing.assert_allclose([one["score"] for one in found], [one.score for one in expected], atol=1e-4)
    assert all(answer["detections"] for answer in answers)
