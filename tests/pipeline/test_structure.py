"""What holds the project together: who may import whom, what a stage depends on, that params.yaml is complete."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from tools import params_schema, preset, stage_deps

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "wakeword"

# A package may import those of lower rows.
ROWS = [
    {"interchange"},
    {"export"},
    {"evaluation", "training"},
    {"models", "streams"},
    {"features", "detection"},
    {"sources", "splitting"},
    {"engines"},
    {"corpus"},
    {"base"},
]
# The modules that belong to no package and stand on base alone; runtime and detection ship without them.
COMMON = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}  # the latter is the command line
SHIPPED = {"runtime": {"runtime", "detection"}, "detection": {"detection"}}
BASE_INSTALL = {"numpy", "onnxruntime", "soundfile", "wakeword"}
# The modules of the runtime that need an extra. The command line alone loads them, when it is asked for what they do.
EXTRAS = {"microphone": "sounddevice", "wyoming_server": "wyoming"}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Return the dotted names that a file imports."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def row(package: str) -> int:
    return next(index for index, members in enumerate(ROWS) if package in members)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_point_downwards(path: Path) -> None:
    package = path.parent.name
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("wakeword.")}
    for other in ours - {package}:
        if package in SHIPPED:
            assert other in SHIPPED[package], f"{path} imports {other}, which does not ship"
        elif other == "runtime":
            assert package in ("evaluation", "export"), f"{path} imports the runtime"
        elif other not in COMMON:
            assert row(other) > row(package), f"{path} imports {other}, which does not lie below {package}"


def test_common_modules_import_base_alone() -> None:
    for name in COMMON:
        path = PACKAGE / f"{name}.py"
        ours = {other.split(".")[1] for other in imports(path) if other.startswith("wakeword.")}
        assert ours <= COMMON | {"base"}, path


@pytest.mark.parametrize("package", SHIPPED)
def test_what_ships_needs_the_base_install_alone(package: str) -> None:
    for path in (PACKAGE / package).glob("*.py"):
        for name in imports(path):
            top = name.split(".")[0]
            allowed = BASE_INSTALL | sys.stdlib_module_names
            if package == "runtime" and path.stem in EXTRAS:
                allowed |= {EXTRAS[path.stem]}
            assert top in allowed, f"{path} imports {top}"


def test_nothing_imports_what_needs_an_extra() -> None:
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        for name in imports(path):
            assert not set(name.split(".")[2:3]) & set(EXTRAS) or not name.startswith("wakeword.runtime."), path


def test_the_base_install_alone_runs_all_but_the_extras() -> None:
    """With every package hidden that `pip install .` does not bring, each command says what it lacks."""
    probe = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hidden())
import wakeword
from wakeword.runtime import cli
assert wakeword.Detector and cli.main(["detect", "none.wav", "--model", "none.onnx"]) == 1
assert cli.main(["listen"]) == cli.main(["serve"]) == 1
"""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = {re.split(r"[^\w-]", one)[0].replace("-", "_") for names in extras.values() for one in names}
    command = [sys.executable, "-c", probe, ",".join(packages)]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": "src"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "wakeword[mic]" in done.stderr and "wakeword[serve]" in done.stderr


def test_no_import_of_ours_hides_in_a_function() -> None:
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        if path != PACKAGE / "__init__.py":
            hidden = imports(path) - imports(path, top_level_only=True)
            assert not {name for name in hidden if name.startswith("wakeword")}, path


def test_only_stages_that_need_torch_import_it() -> None:
    probe = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='probe'); sys.exit('torch' in sys.modules)"
    for stage in ("ingest", "split", "featurize", "compute_cmvn", "report"):
        command = [sys.executable, "-c", probe, f"stages/{stage}.py"]
        assert subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": "src"}, check=False).returncode == 0, stage


@pytest.mark.parametrize("stage", ["train", "find_lr", "evaluate", "export"])
def test_control_c_while_torch_is_being_imported_is_answered_without_a_traceback(stage: str, tmp_path: Path) -> None:
    # A torch that takes long to import, as the real one does, and says when that has begun.
    (tmp_path / "torch.py").write_text("import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    script = subprocess.Popen(
        [sys.executable, f"stages/{stage}.py"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{tmp_path}{os.pathsep}src"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert script.stdout is not None and script.stdout.readline() == "importing\n"
    script.send_signal(signal.SIGINT)
    _, said = script.communicate(timeout=30)
    assert script.returncode == 130 and "interrupted" in said and "Traceback" not in said


def test_each_stage_depends_on_exactly_the_code_that_it_imports() -> None:
    document = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    found = {name: stage_deps.declared(stage) for name, stage in document["stages"].items()}
    assert found == stage_deps.expected(document), "run `make deps`"


def test_each_stage_declares_the_sections_that_its_script_reads() -> None:
    document = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    for name, stage in document["stages"].items():
        script = ast.parse((ROOT / stage_deps.script_of(stage["cmd"])).read_text())
        classes = [node for node in script.body if isinstance(node, ast.ClassDef) and node.name == "Params"]
        fields = {node.target.id for c in classes for node in c.body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]
        declared = {param.split(".")[0] for param in stage.get("params", [])}
        assert declared == fields - {"runtime"}, name


def test_find_lr_declares_all_of_train_that_its_loss_is_made_of() -> None:
    """`train` whole would rerun it for a number of epochs; once `train.phonemes` was forgotten."""

    def read(path: str, function: str, name: str) -> set[str]:
        tree = ast.parse((ROOT / path).read_text())
        (body,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
        members = (node for node in ast.walk(body) if isinstance(node, ast.Attribute))
        return {node.attr for node in members if isinstance(node.value, ast.Name) and node.value.id == name}

    used = read("src/wakeword/training/objective.py", "training_objective", "config")
    used |= read("stages/find_lr.py", "run", "train")
    params = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["find-lr"]["params"]
    assert {f"train.{key}" for key in used} == {param for param in params if param.startswith("train.")}


def test_params_yaml_holds_every_key_that_the_schema_knows() -> None:
    params = params_schema.load(params_schema.Params, ROOT / "params.yaml")
    written = yaml.safe_load((ROOT / "params.yaml").read_text())

    def keys(value: object, where: str = "") -> set[str]:
        if not isinstance(value, dict) or where == "split.pins.":
            return set()
        return {f"{where}{k}" for k in value} | {k for name in value for k in keys(value[name], f"{where}{name}.")}

    known = keys(params.model_dump(mode="json", exclude={"split": {"pins"}})) | {"split.pins"}
    assert keys(written) - known == set() and known - keys(written) == set()


def test_the_schema_beside_params_yaml_is_up_to_date() -> None:
    assert json.loads((ROOT / "params.schema.json").read_text()) == params_schema.schema(), "run `make schema`"


@pytest.mark.parametrize("path", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_fit_params_yaml(path: Path, tmp_path: Path) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    preset.merge(params, yaml.safe_load(path.read_text()))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    params_schema.load(params_schema.Params, tmp_path / "params.yaml")


def test_a_preset_may_choose_another_architecture() -> None:
    params = {"model": {"name": "ds_tcn", "channels": 64}, "seed": 1}
    preset.merge(params, {"model": {"name": "bc_resnet", "tau": 2}})
    assert params == {"model": {"name": "bc_resnet", "tau": 2}, "seed": 1}
    preset.merge(params, {"model": {"tau": 3}})
    assert params["model"] == {"name": "bc_resnet", "tau": 3}


def test_the_lock_files_name_no_index_and_hash_everything() -> None:
    for name in ("lock.txt", "uv.txt", "peers.txt"):
        text = (ROOT / "requirements" / name).read_text()
        assert "://" not in text
        assert not [line for line in text.splitlines() if line.startswith("-")], "an option of the installer"
        pinned = [line for line in text.splitlines() if "==" in line and not line.lstrip().startswith("#")]
        assert pinned and all(line.endswith("\\") for line in pinned)


def test_the_lock_pins_the_pair_that_gpu_machines_have() -> None:
    text = (ROOT / "requirements" / "lock.txt").read_text()
    assert "\ntorch==2.11.0 " in text and "\ntorchaudio==2.11.0 " in text
