import subprocess
from pathlib import Path

import pytest

from wakeword.export.provenance import code_commit


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_text("one\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "code")
    return tmp_path


def test_the_commit_is_that_of_the_code(checkout: Path) -> None:
    code = git(checkout, "rev-parse", "HEAD")
    assert code_commit(checkout) == code
    (checkout / "README.md").write_text("docs\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "docs")
    assert code_commit(checkout) == code
    (checkout / "README.md").write_text("changed docs\n")
    assert code_commit(checkout) == code


def test_changed_code_is_marked(checkout: Path) -> None:
    code = git(checkout, "rev-parse", "HEAD")
    (checkout / "src" / "code.py").write_text("two\n")
    assert code_commit(checkout) == code + "+"
    git(checkout, "commit", "-qam", "more code")
    assert code_commit(checkout) == git(checkout, "rev-parse", "HEAD") != code


def test_without_a_history_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert code_commit(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert code_commit(tmp_path) is None
