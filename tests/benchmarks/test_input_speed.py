"""The benchmark of training's input runs from end to end, on little."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_it_measures_all_three_loops(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.input_speed", "--hours", "0.2", "--rounds", "1", "--out", str(out)]
    command += ["--model", '{"channels": 8, "stacks": 1}', "--loops", "cached", "tenth_cached"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True)
    figures = json.loads(out.read_text())
    assert set(figures["step_ms"]) == {"in_memory", "cached", "tenth_cached"}
    assert all(took > 0 for took in figures["step_ms"].values())
    assert set(figures["of_the_speed_in_memory"]) == {"cached", "tenth_cached"}
    # A cache of a tenth holds some of what is asked for, and far from all.
    assert 0 < figures["tenth_cached_hit_rate"] < 0.9
    assert list(tmp_path.iterdir()) == [out]
