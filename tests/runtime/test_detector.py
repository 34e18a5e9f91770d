import os
import subprocess
import sys
import tracemalloc
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
from wakeword.export.graph import build
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


@settings(max_examples=25, deadline=None)
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
    strict = replace(POLICY, threshold=0.9)
    scores = trained_scores(trained(phrases=2), pcm)
    times = {event.time_s for column in range(2) for event in detect(scores[:, column], strict, 20)}
    assert {detection.time_s for detection in Detector(content(), threshold=0.9).process(pcm)} == times
    assert len(Detector(content(), threshold=0.3).process(pcm)) > 0
    for wrong in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            Detector(content(), threshold=wrong)


def test_a_file_without_a_policy_is_no_detector() -> None:
    with pytest.raises(ValueError, match="no detection policy for 'phrase 0'"):
        Detector(build(trained()))


def test_phrases_and_info() -> None:
    detector = Detector(content())
    assert detector.phrases == ("phrase 0", "phrase 1") == detector.info.phrases


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
