import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.export.networks import POLICY, SMALL, noise, trained, trained_scores, with_policy
from wakeword.export.graph import with_metadata
from wakeword.models.checkpoint import TrainedModel
from wakeword.runtime.scorer import Scorer

FIELD = 16  # scores that one sample can change, or more


@cache
def model(stride: int = 2) -> TrainedModel:
    return trained(SMALL.model_copy(update={"stride": stride}), phrases=2)


@cache
def shared(stride: int = 2) -> Scorer:
    return Scorer(with_policy(model(stride)))


@settings(max_examples=60)
@given(st.sampled_from([2, 3]), st.lists(st.integers(0, 5000), max_size=25), st.integers(0, 25_000), st.booleans())
def test_scores_do_not_depend_on_chunks(stride: int, sizes: list[int], samples: int, as_float: bool) -> None:
    pcm = noise(25_000 / 16_000)[:samples]
    audio = pcm.astype(np.float32) / 32768 if as_float else pcm
    scorer = shared(stride).fresh()
    cuts = np.minimum(np.cumsum([0, *sizes, samples]), samples)
    parts = [scorer.score(audio[start:end]) for start, end in pairwise(cuts)]
    parts.append(scorer.score(audio[cuts[-1] :]))
    scores = np.concatenate(parts)
    assert scores.shape == (samples // scorer.info.hop_samples, 2) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, trained_scores(model(stride), pcm), atol=1e-5)


def test_float64_and_big_endian_samples_are_understood() -> None:
    pcm = noise(1.0)
    expected = shared().fresh().score(pcm)
    for same in (pcm / 32768, pcm.astype(">i2"), (pcm / 32768).astype(np.float32)[::-1][::-1]):
        np.testing.assert_allclose(shared().fresh().score(same), expected, atol=1e-6)


def test_float_beyond_full_scale_is_clipped() -> None:
    loud = noise(1.0).astype(np.float32) / 2000
    np.testing.assert_array_equal(shared().fresh().score(loud), shared().fresh().score(np.clip(loud, -1, 1)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
def test_bad_samples_neither_crash_nor_poison_what_follows(bad: float) -> None:
    clean = noise(3.0).astype(np.float32) / 32768
    dirty = clean.copy()
    dirty[10_000:10_500] = bad
    expected, scores = (shared().fresh().score(audio) for audio in (clean, dirty))
    assert np.isfinite(scores).all() and (scores >= 0).all() and (scores <= 1).all()
    last = 10_500 // 320 + FIELD
    np.testing.assert_allclose(scores[last:], expected[last:], atol=1e-6)
    np.testing.assert_allclose(scores[: 10_000 // 320], expected[: 10_000 // 320], atol=1e-6)


def test_reset_and_fresh_begin_anew() -> None:
    scorer, pcm = shared().fresh(), noise(1.0)
    first = scorer.score(pcm)
    scorer.score(noise(0.517, seed=4))
    other = scorer.fresh()
    scorer.reset()
    np.testing.assert_array_equal(scorer.score(pcm), first)
    np.testing.assert_array_equal(other.score(pcm), first)


def test_streams_of_one_model_do_not_mix() -> None:
    left, right = shared().fresh(), shared().fresh()
    sounds = [noise(2.0, seed=1), noise(2.0, seed=2)]
    scores: list[list[np.ndarray]] = [[], []]
    for start in range(0, 32_000, 1000):
        for scorer, sound, collected in zip((left, right), sounds, scores, strict=True):
            collected.append(scorer.score(sound[start : start + 1000]))
    for sound, collected in zip(sounds, scores, strict=True):
        np.testing.assert_allclose(np.concatenate(collected), shared().fresh().score(sound), atol=1e-6)


def test_the_caller_may_overwrite_its_buffer() -> None:
    scorer, pcm = shared().fresh(), noise(1.0).astype(np.float32) / 32768
    expected = shared().fresh().score(pcm)
    buffer, parts = np.zeros(500, dtype=np.float32), []
    for start in range(0, 16_000, 500):
        buffer[:] = pcm[start : start + 500]
        parts.append(scorer.score(buffer))
        buffer[:] = 9.0
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        (np.zeros((100, 2), dtype=np.int16), ValueError, r"\(100, 2\); pass one channel"),
        (np.zeros(100, dtype=np.int32), TypeError, "int32; pass int16"),
        (np.zeros(100, dtype=np.uint8), TypeError, "uint8; pass int16"),
        (np.zeros(100, dtype=np.complex64), TypeError, "complex64; pass int16"),
        (b"\0\0", TypeError, "np.frombuffer"),
    ],
)
def test_other_samples_are_refused(audio: np.ndarray, error: type[Exception], message: str) -> None:
    scorer = shared().fresh()
    with pytest.raises(error, match=message):
        scorer.score(audio)
    assert len(scorer.score(noise(0.1))) == 5


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "with space.onnx"
    path.write_bytes(with_policy(trained(phrases=2)))
    info = Scorer(str(path)).info
    assert info.phrases == ("phrase 0", "phrase 1")
    assert (info.language, info.sample_rate, info.hop_samples, info.frame_shift_ms) == ("en", 16_000, 320, 20.0)
    assert dict(info.policies) == {"phrase 0": POLICY, "phrase 1": POLICY}
    assert info.figures == {"frr": 0.5} and info.licence == "CC0-1.0" and info.fingerprints["data"] == "abc"


def test_scores_longer_than_a_second_keep_to_the_stride() -> None:
    """A block of a second is no whole number of 30 ms."""
    pcm = noise(3.0, seed=6)
    np.testing.assert_allclose(shared(3).fresh().score(pcm), trained_scores(model(3), pcm), atol=1e-5)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.onnx does not exist"):
        Scorer(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match="is a folder"):
        Scorer(tmp_path)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", bytes(1000)])
def test_what_is_no_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.onnx is no"):
        Scorer(path)


def test_a_truncated_file_is_refused() -> None:
    content = with_policy(trained())
    with pytest.raises(ValueError, match="the model is no"):
        Scorer(content[: len(content) // 2])


def test_an_onnx_file_of_others_is_refused() -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    with pytest.raises(ValueError, match="not one of our models: its metadata lacks 'wakeword_format'"):
        Scorer(model.SerializeToString())
    ours_by_name = with_metadata(model.SerializeToString(), {"wakeword_format": "1"})
    with pytest.raises(ValueError, match=r"takes \['x'\]"):
        Scorer(ours_by_name)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("wakeword_format", "2", "has format 2, this version reads 1"),
        ("hop_samples", "many", "broken metadata"),
        ("phrases", "[", "broken metadata"),
        ("phrases", '["a", "b"]', "1 scores for 2 phrases"),
        ("policy", '{"phrase 0": {"threshold": 0.5}}', "the policy lacks"),
        ("policy", "[1]", "broken metadata"),
        ("hop_samples", "0", "hop_samples is 0; export it again"),
        ("hop_samples", "-320", "hop_samples is -320"),
        ("frame_shift_ms", "nan", "frame_shift_ms is nan"),
        ("receptive_field_ms", "inf", "receptive_field_ms is inf"),
        ("fingerprints", "[]", "fingerprints is no JSON object"),
    ],
)
def test_broken_metadata_is_refused(key: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scorer(with_metadata(with_policy(trained()), {key: value}))


@pytest.mark.parametrize("key", ["phrases", "language", "sample_rate", "hop_samples", "receptive_field_ms"])
def test_lacking_metadata_is_named(key: str) -> None:
    model = onnx.load_from_string(with_policy(trained()))
    kept = [(entry.key, entry.value) for entry in model.metadata_props if entry.key != key]
    del model.metadata_props[:]
    for name, value in kept:
        model.metadata_props.add(key=name, value=value)
    with pytest.raises(ValueError, match=f"lacks '{key}'"):
        Scorer(model.SerializeToString())


def test_phrases_are_no_ascii() -> None:
    content = with_metadata(with_policy(trained()), {"phrases": json.dumps(["hé, „computer“"], ensure_ascii=False)})
    assert Scorer(content).info.phrases == ("hé, „computer“",)
