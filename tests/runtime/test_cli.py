import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import wakeword
from tests.export.networks import noise, trained, with_policy
from tests.web.models import PHRASE, TONE_HZ, tone, tone_detector
from wakeword.runtime import bench
from wakeword.runtime.cli import main
from wakeword.runtime.detector import Detection, Detector


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model where the command looks for one, in the working folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "models" / "wakeword.onnx"
    path.parent.mkdir()
    path.write_bytes(with_policy(trained()))
    return path


def found_in(pcm: np.ndarray, detector: Detector | None = None) -> list[Detection]:
    """Return what a detector finds with half a second of silence at the end, which counts as the end itself."""
    detector = detector or Detector(with_policy(trained()))
    found = detector.process(np.concatenate([pcm, np.zeros(8000, dtype=np.int16)]))
    return [replace(one, time_s=min(one.time_s, len(pcm) / 16_000)) for one in found]


def test_detections_of_each_file_are_printed(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [Path("a b.wav"), Path("ünï 'q'.flac")]
    sounds = [noise(5.0, seed=seed) for seed in (1, 2)]
    for file, sound in zip(files, sounds, strict=True):
        soundfile.write(file, sound, 16_000)
    assert main(["detect", *map(str, files)]) == 0
    expected = [
        f"{file}  {found.time_s:.2f} s  phrase 0  {found.score:.3f}"
        for file, sound in zip(files, sounds, strict=True)
        for found in found_in(sound)
    ]
    assert len(expected) > 2
    assert capsys.readouterr().out.splitlines() == expected


def test_json_holds_the_same(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = noise(5.0, seed=1)
    soundfile.write("a.wav", sound, 16_000)
    assert main(["detect", "a.wav", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        {"file": "a.wav", "phrase": "phrase 0", "time_s": round(d.time_s, 3), "score": round(d.score, 4)}
        for d in found_in(sound)
    ]


@pytest.mark.parametrize("length_ms", [1040, 1047, 1400])
def test_a_phrase_that_ends_with_the_file_is_found(
    model: Path, capsys: pytest.CaptureFixture[str], length_ms: int
) -> None:
    """The tone lasts 40 ms or 47, and it takes until 1.06 s to be sure of it; 7 ms are but a part of a hop."""
    model.write_bytes(tone_detector())
    sound = np.zeros(16 * length_ms, dtype=np.float32)
    sound[16_000 : 16_000 + 16 * 47] = tone(TONE_HZ, 0.047, amplitude=0.9)[: len(sound) - 16_000]
    soundfile.write("a.wav", sound, 16_000, subtype="FLOAT")
    assert main(["detect", "a.wav", "--json"]) == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["phrase"] == PHRASE and row["time_s"] == min(1.06, length_ms / 1000)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_no_letter_keeps_a_detection_from_being_printed(
    model: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """A file's name may be no UTF-8, and standard output may lack a letter of it or of the phrase."""
    shown = trained()
    shown.phrases[:] = ["größer 你好"]
    model.write_bytes(with_policy(shown))
    files = [os.fsdecode(b"caf\xe9.wav"), "ünï.wav"]
    for file in files:
        soundfile.write("plain.wav", noise(5.0, seed=1), 16_000)
        Path("plain.wav").rename(file)
    found = found_in(noise(5.0, seed=1))
    lines: dict[str, list[str]] = {}
    for kind in ("", "--json"):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        assert main(["detect", *files, *filter(None, [kind])]) == 0
        assert isinstance(sys.stdout.buffer, io.BytesIO)
        lines[kind] = sys.stdout.buffer.getvalue().decode(encoding).splitlines()
    rows = [json.loads(line) for line in lines["--json"]]
    assert [(row["file"], row["phrase"]) for row in rows] == [(file, "größer 你好") for file in files for _ in found]
    names = [line.split("  ")[0] for line in lines[""]]
    told = {"ascii": r"\xfcn\xef.wav", "utf-8": "ünï.wav"}[encoding]
    assert names == [name for name in (r"caf\udce9.wav", told) for _ in found] != []


def test_several_models_are_told_apart(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("b.onnx").write_bytes(with_policy(trained(seed=1)))
    sound = noise(5.0, seed=1)
    soundfile.write("a.wav", sound, 16_000)
    command = ["detect", "a.wav", "--model", str(model), "--model", "b.onnx"]
    assert main([*command, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = [(d.model, round(d.time_s, 3)) for d in found_in(sound, Detector([model, "b.onnx"]))]
    assert [(row["model"], row["time_s"]) for row in rows] == expected and {name for name, _ in expected} == {
        str(model),
        "b.onnx",
    }
    assert main(command) == 0
    assert [line.split("  ")[-1] for line in capsys.readouterr().out.splitlines()] == [name for name, _ in expected]


def test_bench_measures_every_chunk_size(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_SECONDS", 1)
    monkeypatch.setattr(bench, "_ROUNDS", 1)
    assert main(["bench", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [int(size) for size in result["cpu_s_per_s"]] == [10, 20, 30, 40, 60, 80, 100, 120, 160]
    assert all(cost > 0 for cost in result["cpu_s_per_s"].values())
    assert result["first_score_s"] > 0 and (result["memory_mib"] is None or result["memory_mib"] > 0)
    lines = bench.table({**result, "memory_mib": None}).splitlines()
    assert len(lines) == 12 and lines[1].startswith(" 10 ms  ") and lines[-1].endswith("not known here")


def test_bench_runs_no_file_of_the_folder_it_is_called_in(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not mine')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    seconds, _ = bench._start(model.resolve())
    assert seconds > 0
    with pytest.raises(ValueError, match=r"a fresh interpreter could not run none\.onnx.*does not exist"):
        bench._start(Path("none.onnx"))


def test_other_rates_and_channels_are_understood(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same sound at 48 kHz in stereo, one channel louder: the mean is what is heard."""
    sound = noise(5.0, seed=1, amplitude=4000.0)
    high = soxr.resample(sound.astype(np.float64) / 32768, 16_000, 48_000, quality="VHQ")
    soundfile.write("stereo.wav", np.stack([1.5 * high, 0.5 * high], axis=1), 48_000, subtype="FLOAT")
    assert main(["detect", "stereo.wav", "--json"]) == 0
    times = [json.loads(line)["time_s"] for line in capsys.readouterr().out.splitlines()]
    # Resampling there and back loses what lies near 8 kHz, so a frame or two of difference is fair.
    expected = [found.time_s for found in found_in(sound)]
    assert len(times) == len(expected)
    np.testing.assert_allclose(times, expected, atol=0.05)


def test_the_threshold_acts(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("a.wav", noise(5.0, seed=1), 16_000)
    counts = []
    for threshold in ("0.4", "0.7", "1.0"):
        assert main(["detect", "a.wav", "--threshold", threshold]) == 0
        counts.append(len(capsys.readouterr().out.splitlines()))
    assert counts[0] >= counts[1] > counts[2] == 0
    assert main(["detect", "a.wav", "--threshold", "7"]) == 1
    assert "threshold" in capsys.readouterr().err


def test_nan_in_a_float_file_does_no_harm(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = (noise(5.0, seed=1) / 32768).astype(np.float32)
    sound[100:110] = np.nan
    sound[200] = np.inf
    soundfile.write("a.wav", sound, 44_100, subtype="FLOAT")
    assert main(["detect", "a.wav"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 0


def test_a_reader_that_goes_away_gets_no_traceback(model: Path) -> None:
    soundfile.write("long.wav", noise(60.0), 16_000)
    environment = {**os.environ, "PYTHONPATH": str(Path(wakeword.__file__).parents[1])}
    command = [sys.executable, "-m", "wakeword", "detect", "long.wav"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    with process:
        assert "phrase 0" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


def test_an_empty_recording_has_nothing_in_it(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("empty.wav", np.zeros(0, dtype=np.int16), 44_100)
    assert main(["detect", "empty.wav"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.wav", "missing"),
        ("folder", "a folder"),
        ("text.wav", "read as audio"),
        ("samples.raw", "sample rate"),
        ("pipe", "no regular file"),
    ],
)
def test_a_bad_file_gets_one_line_and_the_others_are_heard(
    model: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    Path("folder").mkdir()
    Path("samples.raw").write_bytes(noise(1.0).tobytes())
    os.mkfifo("pipe")
    Path("text.wav").write_text("Dear diary\n" * 50)
    soundfile.write("good.wav", noise(5.0, seed=1), 16_000)
    assert main(["detect", name, "good.wav"]) == 1
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1 and err.startswith(f"wakeword: {name}") and reason in err
    assert len(out.splitlines()) == len(found_in(noise(5.0, seed=1)))


def test_a_truncated_recording_is_heard_as_far_as_it_goes_or_named(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("whole.flac", noise(5.0, seed=1), 16_000)
    Path("cut.flac").write_bytes(Path("whole.flac").read_bytes()[:30_000])
    status = main(["detect", "cut.flac"])
    err = capsys.readouterr().err
    assert (status, len(err.splitlines())) in {(0, 0), (1, 1)}


def test_bad_models_get_one_line(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("a.wav", noise(1.0), 16_000)
    Path("text.onnx").write_text("hello")
    for name, reason in (("none.onnx", "does not exist"), ("text.onnx", "no ONNX file"), ("models", "folder")):
        for command in (["detect", "a.wav", "--model", name], ["info", name], ["bench", name]):
            assert main(command) == 1
            out, err = capsys.readouterr()
            assert out == "" and len(err.splitlines()) == 1 and name in err and reason in err


def test_info_describes_the_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["phrases"] == ["phrase 0"] and shown["policies"]["phrase 0"]["threshold"] == 0.7
    assert main(["info", str(model)]) == 0
    assert json.loads(capsys.readouterr().out) == shown


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "usage: wakeword" in capsys.readouterr().err
