"""Every offence in params.yaml is named with its full path."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from wakeword.base.errors import UserError
from wakeword.base.params import Phrases, Section, Seed, load


class Inner(Section):
    rate: float = Field(1.0, gt=0.0)
    range_s: Annotated[tuple[float, float], Field(strict=False)] = (0.0, 1.0)


class Round(Section):
    name: Literal["round"]
    radii: list[Annotated[float, Field(gt=0.0)]] = []


class Square(Section):
    name: Literal["square"]
    side: float = 1.0


class Schema(Section):
    phrases: Phrases
    seed: Seed
    train: Inner = Inner()
    model: Annotated[Round | Square, Field(discriminator="name")] = Square(name="square")


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "params.yaml").write_text(text)
    return tmp_path / "params.yaml"


def test_only_the_sections_of_the_schema_are_looked_at(tmp_path: Path) -> None:
    found = load(Schema, written(tmp_path, "phrases: [hey]\nseed: 1\nevaluate: {nonsense: 1}\n"))
    assert (found.phrases, found.seed, found.train.rate) == (["hey"], 1, 1.0)


def test_an_accent_typed_as_a_character_of_its_own_is_the_same_phrase(tmp_path: Path) -> None:
    assert load(Schema, written(tmp_path, 'phrases: ["hey Ju\\u0308rgen"]\nseed: 1')).phrases == ["hey J\xfcrgen"]
    assert load(Schema, written(tmp_path, "phrases: [ねえ\u3000コンピュータ]\nseed: 1")).phrases == [
        "ねえ コンピュータ"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("phrases: [a]\nseed: 1\ntrian: {}", "unknown section 'trian'; the sections are phrases"),
        ("phrases: [a]\nseed: 1\ntrain: {rtae: 1.0}", "unknown key 'train.rtae'; remove it or correct"),
        ("phrases: [a]\nseed: 1\ntrain: {rate: -1.0}", "'train.rate' is -1.0"),
        ("phrases: [a]\nseed: 1\ntrain: {rate: '1.0'}", "'train.rate' is '1.0'"),
        ("phrases: [a]\nseed: 1\ntrain: {rate: .nan}", "'train.rate' is nan"),
        ("phrases: []\nseed: 1", "'phrases' is []"),
        ("phrases: [a, A]\nseed: 1", "stands there twice"),
        ('phrases: ["caf\\xe9", "cafe\\u0301"]\nseed: 1', "stands there twice"),
        ("phrases: ['  ']\nseed: 1", "'phrases.0' is '  '"),
        ("phrases: ['hey ']\nseed: 1", "'phrases.0' is 'hey '; it must neither be empty nor begin or end with a space"),
        ("phrases: [yes]\nseed: 1", "'phrases.0' is True, as YAML reads yes, no, on and off; put it in quotes"),
        ("phrases: [a]", "'seed' is missing; add it"),
        ("phrases: [a]\nseed: 1\nmodel: {name: round, radii: [1.0, -2.0]}", "'model.radii.1' is -2.0"),
        ("phrases: [a]\nseed: 1\ntrain: {range_s: [0.1]}", "'train.range_s.1' is missing; add it"),
        ("phrases: [a]\nseed: 1\nmodel: {name: round, side: 2.0}", "unknown key 'model.side'"),
        ("phrases: [a]\nseed: 1\nmodel: {name: oval}", "'model.name' is 'oval'; choose one of round, square"),
        ("phrases: [a]\nseed: 1\nmodel: {side: 2.0}", "'model.name' is missing; add it"),
        ("- a list", "must hold sections"),
        ("phrases: [a\nseed: 1", "cannot read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserError) as raised:
        load(Schema, written(tmp_path, text))
    assert told in str(raised.value) and "params.yaml" in str(raised.value)


def test_all_offences_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        load(Schema, written(tmp_path, "phrases: []\nseed: -1\ntrain: {rtae: 1.0}"))
    assert len(str(raised.value).splitlines()) == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml is missing"):
        load(Schema, tmp_path / "params.yaml")
