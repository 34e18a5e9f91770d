"""Running a stage script as a person would, in a project folder of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def command(stage: str) -> list[str]:
    return [sys.executable, str(ROOT / "stages" / f"{stage}.py")]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src")} | more


def write_params(project: Path, **sections: Any) -> None:
    (project / "params.yaml").write_text(yaml.safe_dump(sections, allow_unicode=True))


def run(stage: str, project: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a stage to its end in the folder `project`."""
    return subprocess.run(
        command(stage), cwd=project, env=environment(**env), capture_output=True, text=True, timeout=120, check=False
    )
