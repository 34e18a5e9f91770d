import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.clips import clip
from tests.stages.running import ROOT, environment, run, write_params
from wakeword.corpus.manifest import write_manifest


def project(path: Path, groups: int = 40, **sections: Any) -> Path:
    write_params(path, **{"phrases": ["hey computer"], "seed": 1} | sections)
    (path / "data/corpus").mkdir(parents=True)
    clips = [clip(n, "positive" if n % 2 else "negative", f"speaker={n // 2}") for n in range(2 * groups)]
    write_manifest(path / "data/corpus/manifest.jsonl", clips)
    return path


def test_the_stage_writes_three_splits_and_a_report(tmp_path: Path) -> None:
    done = run("split", project(tmp_path, split={"dev": 0.25, "test": 0.25, "pins": {"speaker=0": "test"}}))
    assert done.returncode == 0, done.stderr
    splits = {path.stem: json.loads(path.read_text())["clips"] for path in (tmp_path / "data/splits").iterdir()}
    assert sorted(splits) == ["dev", "test", "train"]
    assert sum(map(len, splits.values())) == 80
    assert clip(0).id in splits["test"]
    assert json.loads((tmp_path / "data/reports/split/metrics.json").read_text())["test"]["clips"] == len(
        splits["test"]
    )


@pytest.mark.parametrize(
    ("sections", "groups", "told"),
    [
        ({"split": {"tset": 0.2}}, 40, "unknown key 'split.tset'"),
        ({"split": {"test": 1.2}}, 40, "'split.test' is 1.2"),
        ({"split": {"pins": {"speaker=nobody": "dev"}}}, 40, "'speaker=nobody' matches no group"),
        ({}, 1, "there is 1 group, train, dev and test need one each: record more people"),
    ],
)
def test_what_cannot_be_split_exits_1_and_writes_nothing(
    tmp_path: Path, sections: dict[str, Any], groups: int, told: str
) -> None:
    done = run("split", project(tmp_path, groups, **sections))
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["corpus"]


def test_without_a_corpus_it_says_what_to_run(tmp_path: Path) -> None:
    write_params(tmp_path, phrases=["hey computer"], seed=1)
    done = run("split", tmp_path)
    assert done.returncode == 1
    assert "manifest.jsonl is missing; run the ingest stage first" in done.stderr


@pytest.mark.parametrize("stage", ["ingest", "split"])
def test_no_stage_of_the_corpus_imports_torch(stage: str) -> None:
    code = (
        f"import runpy, sys; runpy.run_path({str(ROOT / 'stages' / stage)!r} + '.py'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
