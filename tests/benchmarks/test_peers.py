from pathlib import Path

import numpy as np
import pytest
import soundfile
from benchmarks.peers import CHUNKS_MS, SAMPLE_RATE, SECONDS, generated_audio, measure, real_audio, summary

from tests.export.networks import trained, with_policy


@pytest.mark.parametrize("chunk_ms", [CHUNKS_MS[0], CHUNKS_MS[-1]])
def test_our_own_engine_is_measured_in_a_process_of_its_own(tmp_path: Path, chunk_ms: int) -> None:
    model, recording = tmp_path / "model.onnx", tmp_path / "audio.npy"
    model.write_bytes(with_policy(trained()))
    np.save(recording, generated_audio()[: 10 * SAMPLE_RATE])
    figures = measure("wakeword", chunk_ms, recording, model)
    assert figures["chunk_ms"] == chunk_ms
    assert 0 < figures["above_onnxruntime_mib"] < figures["above_numpy_mib"]
    assert figures["cpu_s_per_s"] > 0 and figures["start_s"] > 0


def test_an_engine_that_fails_says_why(tmp_path: Path) -> None:
    np.save(tmp_path / "audio.npy", generated_audio()[:SAMPLE_RATE])
    with pytest.raises(SystemExit, match=r"wakeword failed[\s\S]*none\.onnx does not exist"):
        measure("wakeword", 80, tmp_path / "audio.npy", tmp_path / "none.onnx")


def test_a_minute_alternates_between_speech_and_noise(tmp_path: Path) -> None:
    for kind, level in (("speech", 0.5), ("noise", -0.25)):
        for index in range(3):
            path = tmp_path / kind / "source" / f"{index}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.full(30_000, level), SAMPLE_RATE)
    audio = real_audio(tmp_path)
    assert audio.dtype == np.int16 and len(audio) == SECONDS * SAMPLE_RATE
    pieces = audio.reshape(-1, 5 * SAMPLE_RATE)
    assert (pieces[::2] == 16_384).all() and (pieces[1::2] == -8_192).all()
    assert len(generated_audio()) == len(audio)


def test_a_summary_holds_medians_and_extremes() -> None:
    rounds = [{"cpu_s_per_s": spent, "start_s": 1.0} for spent in (0.3, 0.1, 0.2)]
    assert summary(rounds) == {"cpu_s_per_s": 0.2, "cpu_lowest": 0.1, "cpu_highest": 0.3, "start_s": 1.0}
