"""Which commit an exported file comes from."""

import subprocess
from pathlib import Path

CODE = ("src", "stages")  # the parameters have fingerprints of their own


def code_commit(folder: Path) -> str | None:
    """Return the last commit that changed code, with "+" after it where code was changed since.

    Commits that touch nothing but docs or results give the same answer, so that exporting again gives the same bytes.

    Args:
        folder: a checkout's root.

    Returns:
        The commit's hash; None where there is no git or no history of these files.
    """
    commit = _git(folder, "log", "-1", "--format=%H", "--", *CODE)
    if not commit:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *CODE)
    return commit + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    try:
        ran = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""
