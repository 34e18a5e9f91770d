"""The whole pipeline, test-sized, in a copy of the project: it runs, repeats itself, and stops where it should."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from wakeword.corpus.shards import Corpus
from wakeword.corpus.splits import read_splits
from wakeword.evaluation.compare import load
from wakeword.features.store import StreamSet
from wakeword.runtime.detector import Detector

ROOT = Path(__file__).resolve().parents[2]
MINUTES = 60
pytestmark = pytest.mark.timeout(10 * MINUTES)

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@example.org",
}


def run(project: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        command, cwd=project, env=ENVIRONMENT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert not check or result.returncode == 0, f"{command}:\n{result.stdout}\n{result.stderr}"
    return result


def stages_run(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def metrics(project: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((project / "metrics").glob("*.json"))}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what git would, less what the pipeline makes, lay the preset `quick` over it, and reproduce it."""
    folder = tmp_path_factory.mktemp("copy") / "project"
    listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    for name in listed.split("\0"):
        given = name.startswith(("data/raw/", "data/teacher/", "data/voices/"))
        made = name.startswith(("metrics/", "plots/", "models/", "data/")) and not given
        if name and (ROOT / name).is_file() and not made and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    run(folder, sys.executable, "tools/preset.py", "quick")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "start")
    run(folder, "dvc", "repro")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "reproduced")
    return folder


def test_what_comes_out_is_a_detector_and_its_figures(project: Path) -> None:
    found = {path.relative_to(project).as_posix() for path in project.glob("models/*")}
    names = {"best_model.pt", "operating_point.json", "wakeword.onnx", "wakeword.int8.onnx", "README.md"}
    assert {f"models/{name}" for name in names} <= found
    evaluated = json.loads((project / "metrics/evaluate.json").read_text())["hey computer"]
    on_test = evaluated["operating_point"]["test"]
    low, high = on_test["fah_interval"]
    assert low <= on_test["fah"] <= high and on_test["hours"] == pytest.approx(0.1, rel=0.1)
    assert set(on_test["conditions"]) == {"clean", "snr_10"}
    assert 0.0 <= evaluated["clips"]["eer"] <= 1.0
    for picture in (
        "pictures/evaluate_det",
        "pictures/evaluate_errors",
        "pictures/evaluate_misses",
        "pictures/evaluate_timeline",
        "pictures/train_epochs",
        "pictures/find_lr_sweep",
        "pictures/ingest_health",
        "augmentation",
    ):
        assert (project / "plots" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert (project / "data/samples/index.html").exists() and (project / "data/errors/index.html").exists()
    kept = load(str(project / "metrics"))["hey computer"]
    assert (len(kept.hit), int((~kept.hit).sum())) == (on_test["keywords"], on_test["misses"])


def test_no_speaker_is_in_two_splits(project: Path) -> None:
    corpus = Corpus.open(project / "data/corpus")
    split_of = {clip: name for name, clips in read_splits(project / "data/splits").items() for clip in clips}
    splits_of_group: dict[str, set[str]] = {}
    for clip in corpus.clips:
        splits_of_group.setdefault(clip.origin.group, set()).add(split_of[clip.id])
    assert len(splits_of_group) > 10 and all(len(splits) == 1 for splits in splits_of_group.values())


def test_what_synthetic_clips_say_reaches_training(project: Path) -> None:
    corpus = Corpus.open(project / "data/corpus")
    assert all(clip.origin.phonemes for clip in corpus.clips if clip.synthetic)
    train = StreamSet.open(project / "data/npy", "train")
    said = {segment.phonemes for stream in train.streams for segment in stream.segments}
    assert len(said) > 50 and "h eɪ k ə m p j u t ə" in said


def test_the_shipped_file_does_on_the_test_streams_what_evaluate_says(project: Path) -> None:
    detector = Detector(project / "models/wakeword.onnx")
    evaluated = json.loads((project / "metrics/evaluate.json").read_text())["hey computer"]["operating_point"]
    index = json.loads((project / "data/npy/test.json").read_text())
    audio = np.load(project / "data/npy/test.audio.npy", mmap_mode="r")
    hits = alarms = 0
    for stream in index["streams"]:
        detector.reset()
        first, last = stream["first_frame"] * 160, (stream["first_frame"] + stream["frames"]) * 160
        times = [d.time_s for start in range(first, last, 1280) for d in detector.process(audio[start : start + 1280])]
        keywords = [(s["start_s"], s["end_s"]) for s in stream["segments"] if s["phrase"] == 0]
        for time_s in times:
            within = [k for k in keywords if k[0] <= time_s <= k[1] + 0.5]
            hits += bool(within)
            alarms += not within
            keywords = [k for k in keywords if k not in within[:1]]
    expected = evaluated["test"]
    assert (hits, alarms) == (expected["keywords"] - expected["misses"], expected["false_alarms"])


def test_a_second_repro_does_nothing(project: Path) -> None:
    assert stages_run(run(project, "dvc", "repro").stdout) == []
    assert run(project, "git", "status", "--porcelain").stdout == ""


def test_another_learning_rate_reruns_train_and_what_follows_and_shows_in_the_diff(project: Path) -> None:
    model = (project / "models/best_model.pt").read_bytes()
    result = run(project, "dvc", "exp", "run", "-S", "train.lr=0.002")
    assert stages_run(result.stdout) == ["train", "evaluate", "export", "report"]
    assert (project / "models/best_model.pt").read_bytes() != model
    changes = json.loads(run(project, "dvc", "metrics", "diff", "--json").stdout)
    differing = run(project, "git", "diff", "--name-only", "--", "metrics/*.json").stdout.split()
    assert set(changes) == set(differing) <= {"metrics/train.json", "metrics/evaluate.json", "metrics/export.json"}
    assert changes["metrics/train.json"]["peak_lr"]["new"] == 0.002
    diff = run(project, "dvc", "plots", "diff", "--out", "diff")
    shown = (project / "diff/index.html").read_text()
    assert "index.html" in diff.stdout and "mean_recall" in shown and "evaluate_det.png" in shown
    shutil.rmtree(project / "diff")
    # Going back is free: the run-cache still has it.
    run(project, "git", "checkout", "--quiet", "params.yaml")
    back = run(project, "dvc", "repro").stdout
    assert stages_run(back) == ["report"] and back.count("is cached") == 3
    run(project, "git", "checkout", "--quiet", ".")


def test_another_run_with_other_workers_gives_the_same_bytes(project: Path) -> None:
    before = metrics(project)
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["runtime"]["workers"] = 3
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    # Ingest and the training loop have tests of their own for this.
    stages = ("featurize", "evaluate", "export", "report")
    run(project, "dvc", "repro", "--force", "--single-item", "--no-run-cache", *stages)
    assert metrics(project) == before
    assert yaml.safe_load((project / "dvc.lock").read_text()) == lock  # the hash of every out, model included
    run(project, "git", "checkout", "--quiet", "params.yaml")


def is_worker(process: psutil.Process) -> bool:
    """Say whether a process is one of `workers`; one that has just ended is none."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def test_control_c_leaves_no_process_and_no_half_written_out(project: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in (project / "data/npy").iterdir())
    command = [sys.executable, "stages/featurize.py"]
    environment = {**ENVIRONMENT, "PYTHONPATH": "src"}
    stage = subprocess.Popen(
        command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        children: list[psutil.Process] = []
        deadline = time.monotonic() + 60
        while not children and time.monotonic() < deadline:
            children = [c for c in psutil.Process(stage.pid).children(recursive=True) if is_worker(c)]
            time.sleep(0.1)
        assert children
        time.sleep(1.0)
        os.killpg(stage.pid, signal.SIGINT)
        _, said = stage.communicate(timeout=30)
    finally:
        stage.kill()
    assert stage.returncode == 130 and "interrupted" in said and "Traceback" not in said
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert not list((project / "data").glob(".*partial"))
    assert sorted(path.stat().st_mtime_ns for path in (project / "data/npy").iterdir()) == before


@pytest.mark.parametrize(
    ("change", "stage", "said"),
    [
        ({"train": {"epohcs": 3}}, "train", "unknown key 'train.epohcs'"),
        ({"trian": {}}, "train", "unknown section 'trian'"),
        ({"train": {"lr": 7.0}}, "train", "lr is 7.0; it must be 'auto' or lie above 0"),
        ({"streams": {"gap_s": [2.0, 1.0]}}, "featurize", "'streams.gap_s' is [2.0, 1.0]"),
        ({"evaluate": {"max_fah": 0.2}}, "evaluate", "max_fah"),
        ({"model": {"channels": 0}}, "find_lr", "'model.channels' is 0"),
        ({"export": {"budget": {"fp32_kb": 1.0}}}, "export", "fp32_kb"),
        ({"streams": {"keywords_per_hour": 600.0, "gap_s": [0.0, 60.0]}}, "featurize", "streams.keywords_per_hour"),
    ],
)
def test_bad_parameters_end_in_a_message_that_names_the_key(
    project: Path, tmp_path: Path, change: dict, stage: str, said: str
) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    for section, values in change.items():
        params[section] = {**params.get(section, {}), **values}
        for key, value in values.items():
            if isinstance(value, dict):
                original = yaml.safe_load((project / "params.yaml").read_text())[section][key]
                params[section][key] = {**original, **value}
    for name in ("data", "models"):
        (tmp_path / name).symlink_to(project / name)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    outs = sorted((path, path.stat().st_mtime_ns) for path in (project / "data/reports").rglob("*"))
    result = subprocess.run(
        [sys.executable, str(project / "stages" / f"{stage}.py")],
        cwd=tmp_path,
        env={**ENVIRONMENT, "PYTHONPATH": str(project / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1 and said in result.stderr and "Traceback" not in result.stderr
    assert sorted((path, path.stat().st_mtime_ns) for path in (project / "data/reports").rglob("*")) == outs
