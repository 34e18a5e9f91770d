"""Run the pipeline in a fresh clone and keep its figures and its cost: `make results-NAME`.

Clones HEAD into a temporary folder, lays the preset NAME (or A+B, one over the other) over its params.yaml, copies what
lies in data/teacher and data/voices, and runs `dvc repro` there. `default` is params.yaml as it is: its metrics must
come out as committed, byte for byte. Those of a preset are kept in `benchmarks/results/NAME/`.
"""

import argparse
import filecmp
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.measure import measure

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset")
    parser.add_argument("--keep", type=Path, help="work here and leave everything, instead of in a temporary folder")
    arguments = parser.parse_args()
    results = ROOT / "benchmarks" / "results" / arguments.preset
    with tempfile.TemporaryDirectory() as temporary:
        clone = (arguments.keep or Path(temporary)).resolve() / "project"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        head = ["git", "rev-parse", "--short=7", "HEAD"]
        commit = subprocess.run(head, cwd=clone, capture_output=True, text=True, check=True).stdout.strip()
        shutil.rmtree(clone / "metrics", ignore_errors=True)
        (clone / "dvc.lock").unlink(missing_ok=True)
        if arguments.preset != "default":
            subprocess.run([sys.executable, "tools/preset.py", *arguments.preset.split("+")], cwd=clone, check=True)
            anchor_root(clone / "params.yaml")
            for name in ("teacher", "voices"):
                shutil.copytree(ROOT / "data" / name, clone / "data" / name, dirs_exist_ok=True)
        status, cost = measure(["dvc", "repro"], clone)
        if status:
            sys.exit(status)
        if arguments.preset != "default":
            shutil.rmtree(results, ignore_errors=True)
            shutil.copytree(clone / "metrics", results)
        else:
            names = sorted(path.name for path in (ROOT / "metrics").iterdir())
            _, changed, missing = filecmp.cmpfiles(ROOT / "metrics", clone / "metrics", names, shallow=False)
            if changed or missing:
                sys.exit(f"metrics/ did not come out as committed: {', '.join(changed + missing)}")
    results.mkdir(parents=True, exist_ok=True)
    (results / "cost.json").write_text(json.dumps(cost | {"commit": commit}, indent=2, sort_keys=True) + "\n")
    print(json.dumps(cost))


def anchor_root(params: Path) -> None:
    """Let the clone read the recordings that the project would."""
    document = yaml.safe_load(params.read_text())
    document["ingest"]["root"] = str((ROOT / document["ingest"]["root"]).resolve())
    params.write_text(yaml.safe_dump(document, sort_keys=False))


if __name__ == "__main__":
    main()
