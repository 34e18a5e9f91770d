"""What is committed is what the pipeline gives: the lock, and the README's figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools import readme

from wakeword.evaluation.which_phrase import KEY

ROOT = Path(__file__).resolve().parents[2]


def test_the_lock_is_not_stale_against_code_and_params() -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        ["dvc", "repro", "--dry", "--allow-missing"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # With the data at hand a stale lock exits 0 all the same, so the words decide.
    assert "Running stage" not in result.stdout and result.returncode == 0, (
        f"run `make repro`\n{result.stdout}{result.stderr}"
    )


@pytest.mark.parametrize("page", readme.PARTS)
def test_the_pages_show_the_committed_metrics(page: str) -> None:
    text = (ROOT / page).read_text()
    assert text == readme.updated(page, text), "run `make readme`"


def test_a_phrase_is_told_from_what_is_reported_of_all_together(tmp_path: Path) -> None:
    assert list(readme.by_phrase(readme.RESULTS / "people")) == ["smart mirror", "snowboy"]
    named_like_it = KEY.strip()
    (tmp_path / "evaluate.json").write_text(json.dumps({KEY: {"right": 9}, "no": {"n": 1}, named_like_it: {"n": 2}}))
    (tmp_path / "export.json").write_text(json.dumps({"phrases": {"no": {}, named_like_it: {}}}))
    assert readme.by_phrase(tmp_path) == {"no": {"n": 1}, named_like_it: {"n": 2}}
