from pathlib import Path

import pytest

from wakeword.base.errors import UserError
from wakeword.base.params import Phrases, Section, load
from wakeword.sources.config import FolderConfig, IngestConfig
from wakeword.splitting.config import SplitConfig


class Params(Section):
    phrases: Phrases = ["hey computer"]
    ingest: IngestConfig = IngestConfig()
    split: SplitConfig = SplitConfig()


def refusal(tmp_path: Path, yaml: str) -> str:
    path = tmp_path / "params.yaml"
    path.write_text(yaml)
    with pytest.raises(UserError) as caught:
        load(Params, path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("yaml", "key", "told"),
    [
        ("ingest: {rot: data/raw}", "ingest.rot", "unknown key"),
        ("ingest: {folders: [{path: a, lable: positive}]}", "ingest.folders.0.lable", "unknown key"),
        ("ingest: {folders: [{path: a, label: postive}]}", "ingest.folders.0.label", "'positive'"),
        ("ingest: {folders: [{path: /abs}]}", "ingest.folders.0.path", "below ingest.root"),
        ("ingest: {folders: [{path: ../up}]}", "ingest.folders.0.path", "below ingest.root"),
        ("ingest: {folders: [{path: a, phrase: x}]}", "ingest.folders.0", "label: positive"),
        ("ingest: {folders: [{path: a, kind: x}]}", "ingest.folders.0", "add a label"),
        ("ingest: {folders: [{path: a, columns: {speaker: s}}]}", "ingest.folders.0", "no metadata"),
        ("ingest: {folders: [{path: a, group_pattern: '('}]}", "ingest.folders.0.group_pattern", "regular expression"),
        ("ingest: {folders: [{path: a}, {path: ./a}]}", "ingest", "twice"),
        ("ingest: {folders: []}", "ingest", "names no source"),
        ("ingest: {corpora: [{name: muscan, path: a}]}", "ingest.corpora.0.name", "'musan'"),
        ("ingest: {corpora: [{name: musan}]}", "ingest.corpora.0", "either a path or a url"),
        (
            "ingest: {corpora: [{name: musan, path: a, url: 'http://b', sha256: c}]}",
            "ingest.corpora.0.sha256",
            "pattern",
        ),
        ("ingest: {corpora: [{name: musan, url: 'http://b/c.zip'}]}", "ingest.corpora.0", "url and sha256 together"),
        ("ingest: {corpora: [{name: musan, url: 'file:///b'}]}", "ingest.corpora.0.url", "pattern"),
        ("ingest: {corpora: [{name: musan, path: a}, {name: musan, path: a/}]}", "ingest", "twice"),
        ("split: {dev: 1.5}", "split.dev", "less than 1"),
        ("split: {dev: 0}", "split.dev", "greater than 0"),
        ("split: {dev: .nan}", "split.dev", "finite"),
        ("split: {dev: 0.5, test: 0.5}", "split", "nothing to train on"),
        ("split: {pins: {a: training}}", "split.pins.a", "'train'"),
        ("phrases: []", "phrases", "at least 1"),
        ("phrases: [' ']", "phrases.0", "neither be empty"),
        ("phrases: [hey you, Hey You]", "phrases", "twice"),
        ("spilt: {}", "spilt", "unknown section"),
    ],
)
def test_a_bad_key_or_value_is_named(tmp_path: Path, yaml: str, key: str, told: str) -> None:
    message = refusal(tmp_path, yaml)
    assert f"'{key}'" in message
    assert told in message


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "ingest: {rot: x, sythesis: null}\nsplit: {tset: 0.1}")
    assert all(f"'{key}'" in message for key in ("ingest.rot", "ingest.sythesis", "split.tset"))


def test_the_default_is_the_layout_below_data_raw() -> None:
    config = IngestConfig()
    assert config.root == "data/raw"
    assert config.folders == [FolderConfig(path=".")]
    assert config.synthesis is None
