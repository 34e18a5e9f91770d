import json
from pathlib import Path

import pytest

from tests.engines.piper_voice import voice
from tests.stages.running import run
from tests.stages.test_ingest import outs, project

pytest.importorskip("piper", reason="piper-tts is not installed")


def test_two_engines_and_changed_voices_are_the_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    engines = {"espeak": {"share": 0.5}, "piper": {"share": 0.5, "models": ["tiny.onnx"]}}
    said = {"positives": 24, "negatives": 0, "engines": engines, "voice_change": {"share": 0.5}}
    found = []
    for workers in (1, 2):
        at = project(tmp_path / str(workers), 0, ingest={"synthesis": said}, runtime={"workers": workers})
        (at / "data/raw").mkdir(parents=True)
        voice(at / "data/voices")
        done = run("ingest", at)
        assert done.returncode == 0, done.stderr
        found.append(outs(at))
    assert found[0] == found[1]
    metrics = json.loads(found[0]["reports/ingest/metrics.json"])
    assert {"espeak-ng", "piper"} == set(metrics["source"])
    assert metrics["source"]["piper"]["positive"]["groups"] == 3
    manifest = [json.loads(line) for line in found[0]["corpus/manifest.jsonl"].splitlines()]
    changed = [clip for clip in manifest if "change_pitch" in clip["origin"]["synthesis"]]
    assert 0 < len(changed) < len(manifest)


def test_an_absent_voice_ends_the_stage_with_its_path(tmp_path: Path) -> None:
    engines = {"espeak": None, "piper": {"share": 1.0, "models": ["gone.onnx"]}}
    at = project(tmp_path / "p", 0, ingest={"synthesis": {"positives": 2, "negatives": 0, "engines": engines}})
    (at / "data/raw").mkdir(parents=True)
    done = run("ingest", at)
    assert done.returncode == 1
    assert "data/voices/gone.onnx is missing; put a Piper voice in ONNX there" in done.stderr
    assert "Traceback" not in done.stderr
    assert outs(at) == {}
