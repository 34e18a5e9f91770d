import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wakeword
from tests.export.networks import POLICY, noise, trained, trained_scores, with_policy
from wakeword.detection.policy import detect
from wakeword.export.graph import build, with_metadata
from wakeword.runtime.detector import Detection, Detector


@cache
def content() -> bytes:
    return with_policy(trained(phrases=2))


def expected_detections(pcm: np.ndarray) -> list[Detection]:
    """Return what training's own scores and the policy give."""
    scores = trained_scores(trained(phrases=2), pcm)
    found = [
        Detection(f"phrase {column}", event.time_s, event.score)
        for column in range(2)
        for event in detect(scores[:, column], POLICY, 20)
    ]
    return sorted(found, key=lambda detection: detection.time_s)


def assert_same(found: list[Detection], expected: list[Detection]) -> None:
    assert [(d.phrase, d.time_s) for d in found] == [(d.phrase, d.time_s) for d in expected]
    np.testing.assert_allclose([d.score for d in found], [d.score for d in expected], atol=1e-5)


@settings(max_examples=25)
@given(st.lists(st.integers(100, 20_000), min_size=1, max_size=20))
def test_detections_do_not_depend_on_chunks(sizes: list[int]) -> None:
    pcm = noise(6.0)
    expected = expected_detections(pcm)
    assert len({detection.phrase for detection in expected}) == 2 and len(expected) > 4
    detector, found, start = Detector(content()), [], 0
    while start < len(pcm):
        size = sizes[start % len(sizes)]
        found += detector.process(pcm[start : start + size])
        start += size
    assert_same(found, expected)


def test_reset_counts_time_from_zero_again() -> None:
    detector, pcm = Detector(content()), noise(6.0)
    first = detector.process(pcm)
    detector.reset()
    assert detector.process(pcm) == first
    later = detector.process(pcm)
    assert all(detection.time_s > 6.0 for detection in later)


def test_scores_are_those_of_the_whole_recording_and_leave_the_stream_alone(tmp_path: Path) -> None:
    detector, pcm = Detector(content()), noise(6.0)
    np.save(tmp_path / "pcm.npy", pcm)
    first = detector.process(pcm[:40_000])
    scores = detector.scores(np.load(tmp_path / "pcm.npy", mmap_mode="r"))
    assert_same([*first, *detector.process(pcm[40_000:])], expected_detections(pcm))
    np.testing.assert_allclose(scores, trained_scores(trained(phrases=2), pcm), atol=1e-5)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    shape = (16_000 * 600,)
    pcm = np.lib.format.open_memmap(tmp_path / "pcm.npy", mode="w+", dtype=np.int16, shape=shape)
    detector = Detector(content())
    tracemalloc.start()
    try:
        assert len(detector.scores(pcm)) == 600 * 50
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The scores themselves are 240 kB, held twice while they are joined.
    assert peak < 2_000_000


def test_a_threshold_may_be_given() -> None:
    pcm = noise(6.0)
    strict = replace(POLICY, threshold=0.9, release=0.9 * POLICY.release / POLICY.threshold)
    scores = trained_scores(trained(phrases=2), pcm)
    times = {event.time_s for column in range(2) for event in detect(scores[:, column], strict, 20)}
    assert {detection.time_s for detection in Detector(content(), threshold=0.9).process(pcm)} == times
    assert len(Detector(content(), threshold=0.3).process(pcm)) > 0
    # As every figure of another threshold: the release moves with it, or at 0.5 this file would know no hysteresis.
    late = with_policy(trained(phrases=2), replace(POLICY, threshold=0.9, release=0.72))
    low = [event.time_s for event in detect(scores[:, 0], replace(POLICY, threshold=0.5, release=0.4), 20)]
    single = np.float32(0.5)
    found = Detector(late, threshold=single).process(pcm)  # type: ignore[arg-type]
    assert [detection.time_s for detection in found if detection.phrase == "phrase 0"] == low
    for wrong in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            Detector(content(), threshold=wrong)


def test_a_file_without_a_policy_is_no_detector() -> None:
    with pytest.raises(ValueError, match="no detection policy for 'phrase 0'"):
        Detector(build(trained()))


def test_phrases_and_info() -> None:
    detector = Detector(content())
    assert detector.phrases == ("phrase 0", "phrase 1") == detector.info.phrases


def test_several_models_hear_what_each_hears_alone(tmp_path: Path) -> None:
    pcm, other = noise(6.0), with_policy(trained(seed=1))
    path = tmp_path / "other.onnx"
    path.write_bytes(other)
    both = Detector([content(), path])
    assert both.phrases == ("phrase 0", "phrase 1", "phrase 0")
    alone = {"model 1": Detector(content()), str(path): Detector(other)}
    assert both.models == {name: detector.info for name, detector in alone.items()}
    expected = [replace(d, model=name) for name, detector in alone.items() for d in detector.process(pcm)]
    assert {d.model for d in expected} == set(alone)
    for _ in range(2):
        found = [d for start in range(0, len(pcm), 700) for d in both.process(pcm[start : start + 700])]
        key = lambda d: (d.time_s, d.model, d.phrase)  # noqa: E731
        assert sorted(found, key=key) == sorted(expected, key=key)
        assert [d.time_s for d in found] == sorted(d.time_s for d in found)
        both.reset()
    scores = np.concatenate([detector.scores(pcm) for detector in alone.values()], axis=1)
    np.testing.assert_array_equal(both.scores(pcm), scores)
    with pytest.raises(ValueError, match="2 models"):
        both.info  # noqa: B018


def test_models_that_score_at_other_times_have_no_common_scores() -> None:
    slow = with_metadata(content(), {"frame_shift_ms": "40"})
    with pytest.raises(ValueError, match=r"every \[20\.0, 40\.0\] ms"):
        Detector([content(), slow]).scores(noise(1.0))


def test_models_must_be_named_once(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content())
    with pytest.raises(ValueError, match=r"a\.onnx is given twice"):
        Detector([path, str(path)])
    with pytest.raises(ValueError, match="no model is given"):
        Detector([])


def test_the_latest_scores_are_the_highest_of_the_last_chunk() -> None:
    detector, pcm = Detector([content(), with_policy(trained(seed=1))]), noise(1.0)
    np.testing.assert_array_equal(detector.latest, [0, 0, 0])
    scores = detector.scores(pcm)
    for start in range(0, len(pcm), 3200):
        detector.process(pcm[start : start + 3200])
        np.testing.assert_allclose(detector.latest, scores[start // 320 :][:10].max(axis=0), atol=1e-5)
    latest = detector.latest
    detector.process(pcm[:10])
    np.testing.assert_array_equal(detector.latest, latest)


def test_streams_in_many_threads_share_a_model_and_nothing_else() -> None:
    first, sounds = Detector(content()), [noise(4.0, seed=seed) for seed in range(8)]
    first.process(sounds[0][:9999])
    first.fresh().process(sounds[1])

    def hear(sound: np.ndarray) -> list[Detection]:
        detector = first.fresh()
        return [d for start in range(0, len(sound), 500) for d in detector.process(sound[start : start + 500])]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(hear, sounds))
    assert found == [hear(sound) for sound in sounds]
    assert len({tuple(one) for one in found}) == 8


def test_the_package_offers_what_it_says() -> None:
    assert wakeword.__all__ == ["Detection", "Detector"]
    assert wakeword.Detector is Detector and wakeword.Detection is Detection
    assert {"Detection", "Detector"} <= set(dir(wakeword))
    with pytest.raises(AttributeError, match="'nothing'"):
        wakeword.nothing  # noqa: B018


def _imported_after(code: str) -> set[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(wakeword.__file__).parents[1])}
    program = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()} | set(done.stdout.split())


def test_the_runtime_needs_no_training_package(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content())
    listen = f"wakeword.Detector({str(path)!r}).process(numpy.zeros(9999, 'int16'))"
    modules = _imported_after(f"import wakeword, wakeword.runtime.cli, numpy\n{listen}")
    assert not modules & {"torch", "pydantic", "yaml", "tqdm", "scipy", "onnx", "soxr", "av", "dvc"}
    ours = {name for name in modules if name.startswith("wakeword.")}
    packages = {name for name in ours if name.count(".") == 1}
    assert packages == {"wakeword.runtime", "wakeword.detection"}


def test_the_package_alone_imports_no_runtime() -> None:
    assert not _imported_after("import wakeword.base.errors") & {"onnxruntime", "numpy", "wakeword.runtime"}
