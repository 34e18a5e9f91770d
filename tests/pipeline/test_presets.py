"""Presets: they lie over each other as `make results-A+B` lays them, and keep what their comments promise."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools import params_schema, preset

from wakeword.engines.registry import ENGINES, EnginesConfig
from wakeword.features.frontend import FRAME_MS
from wakeword.models.bc_resnet import BcResNet
from wakeword.models.config import BcResNetConfig, DsTcnConfig
from wakeword.models.ds_tcn import DsTcn
from wakeword.splitting import deal
from wakeword.splitting.config import SplitConfig
from wakeword.training.config import LossConfig
from wakeword.training.schedule import learning_rate

ROOT = Path(__file__).resolve().parents[2]


def read(path: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return content


def leaves(value: Any, where: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return each value that is no mapping, by the keys that lead to it."""
    if not isinstance(value, dict) or where[-1:] == ("pins",):
        return {where: value}
    return {path: leaf for key in value for path, leaf in leaves(value[key], (*where, key)).items()}


@pytest.mark.parametrize(
    "names",
    [
        "people+people_typed+full",
        "debian",
        "people+people_debian",
        "people+tiny",
        "quick+tiny",
        "full+quick",
        "full+tiny",
        "people+teacher",
        "quick+teacher",
    ],
)
def test_what_the_last_preset_sets_stands_and_all_else_stays(names: str, tmp_path: Path) -> None:
    params = read("params.yaml")
    wanted = leaves(params)
    for name in names.split("+"):
        overlay = read(f"presets/{name}.yaml")
        preset.merge(params, overlay)
        wanted |= leaves(overlay)
    found = leaves(params)
    assert found == wanted
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    params_schema.load(params_schema.Params, tmp_path / "params.yaml")


def test_tiny_fits_a_microcontroller() -> None:
    params = read("params.yaml")
    preset.merge(params, read("presets/tiny.yaml"))
    network = DsTcn(DsTcnConfig(**params["model"]), params["features"]["mels"], 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 13_385


def test_the_teacher_is_larger_than_its_student_and_trained_on_the_same() -> None:
    params, taught = read("params.yaml"), read("params.yaml")
    preset.merge(params, read("presets/teacher.yaml"))
    preset.merge(taught, read("presets/distilled.yaml"))
    teacher, student = (DsTcn(DsTcnConfig(**each["model"]), each["features"]["mels"], 1) for each in (params, taught))
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in (teacher, student)]
    assert sizes == [176_385, 51_329] and teacher.receptive_field == student.receptive_field
    assert taught["model"] == read("params.yaml")["model"] and taught["train"]["teacher"]["files"] == ["best_model.pt"]
    changed = {path[0] for path, value in leaves(params).items() if leaves(taught).get(path) != value}
    assert changed == {"model", "train", "export"}


def test_full_is_long_enough_for_a_rate_of_half_a_false_alarm_an_hour() -> None:
    streams = read("presets/full.yaml")["streams"]
    assert min(streams["dev_hours"], streams["test_hours"]) >= 10


def test_with_voices_every_engine_speaks(tmp_path: Path) -> None:
    params = read("params.yaml")
    for name in ("people", "voices"):
        preset.merge(params, read(f"presets/{name}.yaml"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    synthesis = params_schema.load(params_schema.Params, tmp_path / "params.yaml").ingest.synthesis
    assert synthesis and set(synthesis.engines.shares()) == set(ENGINES)


def test_rows_with_fewer_recordings_are_judged_by_the_same_ones() -> None:
    names = [f"keyword/picovoice_wwb/{phrase}/{digit}0.flac" for phrase in ("a", "b") for digit in "0123456789abcdef"]
    judges, taught = [], []
    for row in ("people", "people_debian", "people_50", "people_10", "people_typed"):
        pins = read(f"presets/{row}.yaml")["split"]["pins"]
        dealt = [next(split for pattern, split in pins.items() if fnmatch(name, pattern)) for name in names]
        judges.append([name for name, split in zip(names, dealt, strict=True) if split == "test"])
        taught.append({name for name, split in zip(names, dealt, strict=True) if split == "train"})
    assert len(judges[0]) == 8 and judges.count(judges[0]) == 5
    assert taught[0] == taught[1] > taught[2] > taught[3] > taught[4] == set()


def test_speech_of_debian_judges_a_typed_phrase_and_trains_beside_recordings_of_it() -> None:
    people = ["asterisk/Allison", "asterisk/Menardi", "tuxpaint/be", "tuxpaint/pt_BR", "tuxpaint/en", "fillets/cs"]
    people += ["fillets/nl", "hedgewars/British", "hedgewars/Pirate", "kde_words/de", "kde_words/uk"]
    sounds = ["asterisk/moh/cold_day", "tuxpaint/sounds/owl", "fillets/music/menu", "hedgewars/sounds/beep"]
    typed, recorded = (read(f"presets/{name}.yaml") for name in ("debian", "people_debian"))
    assert typed["ingest"] == recorded["ingest"]
    dealt = deal.assign(people + sounds, SplitConfig.model_validate(typed["split"]), seed=1)
    assert {dealt[name] for name in people} == {"dev", "test"}
    assert {name: dealt[name] for name in sounds} == deal.assign(sounds, SplitConfig(), seed=1)  # by hash
    pins = recorded["split"]["pins"].items()
    assert {next(split for pattern, split in pins if fnmatch(name, pattern)) for name in people + sounds} == {"train"}


def test_speech_commands_is_trained_as_published() -> None:
    params = read("params.yaml")
    preset.merge(params, read("presets/speech_commands_12.yaml"))
    network = BcResNet(BcResNetConfig(**params["model"]), params["features"]["mels"], len(params["phrases"]))
    assert sum(parameter.numel() for parameter in network.parameters()) == 322_026
    train = params["train"]
    assert set(params["phrases"]) == {"yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"}
    assert train["epochs"] * train["warmup_share"] == 5 and train["batches"]["size"] == 100
    planned = 200 * 370, train["lr"], train["schedule"], train["warmup_share"]
    assert [learning_rate(step, *planned) for step in (0, 1849)] == pytest.approx([0.1 / 1850, 0.1])
    # The window holds the network's field and the phrase's end beside it.
    loss = LossConfig(**train["loss"])
    needed = network.receptive_field + (loss.early_ms + loss.late_ms) // FRAME_MS + network.stride
    assert needed <= 100 * train["batches"]["window_s"]


def test_espeak_alone_speaks_other_languages() -> None:
    params = read("params.yaml")
    preset.merge(params, read("presets/espeak.yaml"))
    engines = EnginesConfig.model_validate(params["ingest"]["synthesis"]["engines"])
    assert {name for name, engine in engines if engine} == {"espeak"}
