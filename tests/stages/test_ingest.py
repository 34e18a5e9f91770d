import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

from tests.sounds import RATE, tone, word, write
from tests.stages.running import command, environment, run, write_params

LONG_S = 7200


def sparse(path: Path, seconds: int, rate: int, channels: int) -> None:
    """Write a WAV of 8-bit samples that takes no room on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((0, channels)), rate, format="WAV", subtype="PCM_U8")
    header = bytearray(path.read_bytes())
    size = seconds * rate * channels
    at = header.index(b"data") + 4
    header[at : at + 4] = struct.pack("<I", size)
    header[4:8] = struct.pack("<I", len(header) - 8 + size)
    path.write_bytes(header)
    os.truncate(path, len(header) + size)


def project(path: Path, positives: int = 2, **sections: Any) -> Path:
    path.mkdir(exist_ok=True)
    write_params(path, **{"phrases": ["hey computer"], "language": "en", "seed": 1} | sections)
    for number in range(positives):
        write(path / f"data/raw/positive/speaker=s{number}/a b.wav", word(0.75, number))
    return path


def outs(path: Path) -> dict[str, bytes]:
    """Return every file below `data`, but for what was put in, hidden ones too."""
    files = {str(file.relative_to(path / "data")): file for file in (path / "data").rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if not name.startswith("raw")}


def test_all_kinds_of_input_give_the_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    found = []
    for workers in (1, 3):
        at = project(tmp_path / str(workers), positives=3, runtime={"workers": workers})
        raw = at / "data" / "raw"
        write(raw / "negative/eight channels.wav", np.tile(tone(1.0, 96_000)[:, None], (1, 8)), 96_000)
        write(raw / "negative/日本 'quoted' \"ü\".flac", word(2.0, 20))
        write(raw / os.fsdecode(b"negative/caf\xe9.wav"), word(1.0, 21))
        write(raw / "negative/nan.wav", np.full(RATE, np.nan), subtype="FLOAT")
        write(raw / "negative/empty.wav", np.zeros(0))
        (raw / "negative/text.wav").write_text("no sound\n" * 100)
        truncated = write(raw / "negative/cut.flac", word(2.0, 22))
        truncated.write_bytes(truncated.read_bytes()[:9_000])
        write(raw / "background/long.wav", word(31.0, 23))
        done = run("ingest", at)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert "rejected 4" in done.stderr
        found.append(outs(at))
    assert sorted(found[0]) == [
        "corpus/manifest.jsonl",
        "corpus/shard-000.npy",
        "reports/ingest/health.png",
        "reports/ingest/metrics.json",
    ]
    assert found[0] == found[1]
    assert found[0]["reports/ingest/health.png"].startswith(b"\x89PNG")
    metrics = json.loads(found[0]["reports/ingest/metrics.json"])
    assert {item["path"] for item in metrics["rejected"]} == {
        "negative/nan.wav",
        "negative/empty.wav",
        "negative/text.wav",
        "negative/cut.flac",
    }
    manifest = found[0]["corpus/manifest.jsonl"].decode()
    assert "日本 'quoted' \\\"ü\\\".flac" in manifest
    assert metrics["label"]["noise"]["clips"] == 2
    assert metrics["origin_rate"]["96000"] == 1


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"ingest": {"rooot": "x"}}, "unknown key 'ingest.rooot'"),
        ({"ingest": {"folders": [{"path": "a", "label": "loud"}]}}, "'ingest.folders.0.label' is 'loud'"),
        ({"runtime": {"workers": 0}}, "'runtime.workers' is 0"),
        ({"seed": -1}, "'seed' is -1"),
        ({"phrases": []}, "'phrases' is []"),
        ({"ingest": {"folders": [{"path": "gone", "label": "noise"}]}}, "data/raw/gone is missing"),
        ({"ingest": {"folders": [{"path": "file.wav"}]}}, "file.wav is a file, not a folder"),
        ({"ingest": {"folders": [{"path": ".", "metadata": "positive"}]}}, "positive is a folder; it must be a CSV"),
        ({"ingest": {"root": "file.wav"}}, "is missing"),
        ({"phrases": ["hey computer", "stop it"]}, "phrase=NAME"),
    ],
)
def test_what_cannot_go_on_exits_1_with_the_key_and_no_trace(
    tmp_path: Path, sections: dict[str, Any], told: str
) -> None:
    at = project(tmp_path / "p", positives=1, **sections)
    (at / "data/raw/file.wav").touch()
    if "root" in sections.get("ingest", {}):
        sections["ingest"]["folders"] = [{"path": "x", "label": "noise"}]
        at = project(at, positives=1, **sections)
    done = run("ingest", at)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert outs(at) == {}


def test_no_input_at_all_names_the_remedy(tmp_path: Path) -> None:
    done = run("ingest", project(tmp_path / "p", positives=0))
    assert done.returncode == 1
    assert "no positive clip of 'hey computer'; put recordings of it into data/raw/positive/" in done.stderr
    assert not (tmp_path / "p" / "data" / "corpus").exists()


def test_log_lines_may_be_json(tmp_path: Path) -> None:
    done = run("ingest", project(tmp_path / "p"), WAKEWORD_LOG="json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["stage"] for line in lines} == {"ingest"}
    assert lines[-1]["clips"] == 2


def test_two_hours_of_recording_need_little_memory(tmp_path: Path) -> None:
    at = project(tmp_path / "p", runtime={"workers": 1})
    sparse(at / "data/raw/background/long.wav", LONG_S, rate=8_000, channels=1)
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command("ingest")],
        cwd=at, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    most_kib = int(done.stdout)
    assert most_kib < 200 * 1024  # its samples alone are 220 MiB, and as floats 440
    metrics = json.loads((at / "data/reports/ingest/metrics.json").read_text())
    # The same value everywhere: all pieces but the first and last, where the filter starts and ends, are alike.
    assert metrics["label"]["noise"]["clips"] + metrics["duplicates_count"] == LONG_S // 30


def test_a_disk_that_takes_no_more_ends_with_the_remedy(tmp_path: Path) -> None:
    at = project(tmp_path / "p", runtime={"workers": 1})
    write(at / "data/raw/background/long.wav", word(40.0, 1))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = subprocess.run(
        command("ingest"), cwd=at, env=environment(), capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot write data/corpus: File too large; raise the limit" in done.stderr
    assert "Traceback" not in done.stderr
    assert outs(at) == {}


def test_a_typed_phrase_alone_makes_a_corpus(tmp_path: Path) -> None:
    at = project(tmp_path / "p", positives=0, ingest={"synthesis": {"positives": 6, "negatives": 6}})
    (at / "data").mkdir()
    done = run("ingest", at)
    assert done.returncode == 0, done.stderr
    assert "found no files below data/raw; only synthesized speech is used" in done.stderr
    total = json.loads((at / "data/reports/ingest/metrics.json").read_text())
    assert total["phrase"]["hey computer"]["synthetic_clips"] >= 4
    assert total["label"]["positive"]["clips_of_unknown_group"] == 0


@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_ctrl_c_while_workers_are_starting_is_answered_plainly(tmp_path: Path, delay_s: float) -> None:
    at = project(tmp_path / "p", runtime={"workers": 2})
    sparse(at / "data/raw/background/long.wav", LONG_S, rate=96_000, channels=2)
    stage = subprocess.Popen(
        command("ingest"), cwd=at, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert stage.stderr is not None
    assert "found files" in stage.stderr.readline()
    time.sleep(delay_s)
    os.killpg(stage.pid, signal.SIGINT)
    _, said = stage.communicate(timeout=30)
    assert stage.returncode == 130
    assert "Traceback" not in said
    assert outs(at) == {}


def children_gone(children: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(children, timeout=10)
    return not alive


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_process_and_no_half_corpus(tmp_path: Path, sent: signal.Signals) -> None:
    at = project(tmp_path / "p", runtime={"workers": 2})
    for number in range(2):  # minutes of work
        sparse(at / f"data/raw/background/{number}.wav", LONG_S, rate=96_000, channels=2)
    stage = subprocess.Popen(
        command("ingest"), cwd=at, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        started = time.monotonic()
        while not list(at.glob("data/.corpus.partial/scratch/*.pcm")):
            assert stage.poll() is None
            assert time.monotonic() - started < 60
            time.sleep(0.05)
        children = psutil.Process(stage.pid).children(recursive=True)
        assert len(children) >= 2
        if sent == signal.SIGINT:
            os.killpg(stage.pid, sent)  # a terminal's Ctrl-C reaches the workers as well
        else:
            os.kill(stage.pid, sent)
        _, said = stage.communicate(timeout=30)
        assert children_gone(children)
    finally:
        if stage.poll() is None:
            stage.kill()
            stage.wait()
    assert not (at / "data/corpus").exists()
    assert not (at / "data/reports").exists()
    if sent == signal.SIGINT:
        assert stage.returncode == 130
        assert "interrupted" in said
        assert "Traceback" not in said
        assert outs(at) == {}
