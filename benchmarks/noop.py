"""What `dvc repro` costs when there is nothing to do, beside a bare project of eight stages: `make noop`.

Run it after `make repro`. The two take turns, so that a change of the machine's mood meets both.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 25


def bare_project(folder: Path) -> None:
    """Make a DVC project of eight stages in a row whose command is `true`, reproduced once."""
    # Without a dep or an out, DVC would run a stage every time.
    stages = "".join(f"  stage{index}:\n    cmd: 'true'\n    deps: [input]\n" for index in range(8))
    (folder / "input").write_text("nothing\n")
    (folder / "dvc.yaml").write_text(f"stages:\n{stages}")
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"], ["dvc", "repro", "--quiet"]):
        subprocess.run(command, cwd=folder, check=True)


def seconds(folder: Path) -> float:
    """Time one `dvc repro` that must find nothing to do."""
    started = time.perf_counter()
    result = subprocess.run(["dvc", "repro"], cwd=folder, capture_output=True, text=True, check=True)
    taken = time.perf_counter() - started
    if "Running stage" in result.stdout:
        sys.exit(f"{folder} had something to do; run `make repro` first")
    return taken


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        bare = Path(temporary)
        bare_project(bare)
        pairs = [(seconds(ROOT), seconds(bare)) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    result = {
        "project_s": round(ours, 2),
        "bare_s": round(theirs, 2),
        "ratio": round(statistics.median(one / other for one, other in pairs), 2),
        "rounds": ROUNDS,
        "cores": len(os.sched_getaffinity(0)),
    }
    out = ROOT / "benchmarks" / "results" / "noop.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
