"""Keep the code deps of `dvc.yaml` exactly what each stage's script imports: `python tools/stage_deps.py [--write]`.

A package that a stage imports whole is one dep, its folder, because every dep costs
DVC time even when there is nothing to do.
Without `--write` it prints the differences and exits 1 if there are any.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
CODE = ("src/", "stages/")

# Runs in a fresh interpreter: what a script imports is what Python says it imported.
_PROBE = """
import json, runpy, sys
from pathlib import Path
runpy.run_path(sys.argv[1], run_name="probe")
root = Path.cwd()
files = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "wakeword" and m.__file__]
print(json.dumps([Path(f).resolve().relative_to(root).as_posix() for f in files]))
"""


def imported(script: Path) -> list[str]:
    """Return the project files that a stage script loads, itself included, relative to the root and sorted."""
    environment = {**os.environ, "PYTHONPATH": "src", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", _PROBE, str(script)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"cannot import {script}:\n{result.stderr}")
    return sorted({*folded(json.loads(result.stdout.splitlines()[-1])), script.as_posix()})


def folded(files: list[str]) -> set[str]:
    """Return the files, with every package below `src/wakeword` that is there whole replaced by its folder."""
    kept = set(files)
    for package in {Path(file).parent for file in files} - {Path("src/wakeword")}:
        whole = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).glob("*.py")}
        if whole <= kept:
            kept = kept - whole | {package.as_posix()}
    return kept


def script_of(command: str) -> Path:
    """Return the stage script that a stage's command runs."""
    return Path(next(word for word in command.split() if word.startswith("stages/")))


def expected(document: dict[str, Any]) -> dict[str, list[str]]:
    """Return the code deps that each stage should have."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        scripts = {name: script_of(stage["cmd"]) for name, stage in document["stages"].items()}
        return dict(zip(scripts, pool.map(imported, scripts.values()), strict=True))


def declared(stage: dict[str, Any]) -> list[str]:
    """Return the code deps that a stage has."""
    return [dep for dep in stage["deps"] if dep.startswith(CODE)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="correct dvc.yaml")
    write = parser.parse_args().write
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = ROOT / "dvc.yaml"
    document = yaml.load(path)
    wrong = False
    for name, wanted in expected(document).items():
        stage = document["stages"][name]
        found = declared(stage)
        if found == wanted:
            continue
        wrong = True
        for dep in sorted(set(wanted) ^ set(found)):
            print(f"{name}: {'missing' if dep in wanted else 'needless'} dep {dep}")
        stage["deps"][:] = [dep for dep in stage["deps"] if not dep.startswith(CODE)] + wanted
    if write:
        yaml.dump(document, path)
    elif wrong:
        sys.exit("dvc.yaml does not match the imports; run `make deps`")


if __name__ == "__main__":
    main()
