"""Reading `params.yaml` strictly: each stage names the sections it needs and the models that describe them."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from wakeword.base.errors import UserError

PARAMS_FILE = Path("params.yaml")

# Only names, so that a misspelt section is an error in every stage while no stage depends on another's knobs.
SECTIONS = (
    "phrases",
    "language",
    "seed",
    "ingest",
    "split",
    "features",
    "streams",
    "model",
    "find_lr",
    "train",
    "evaluate",
    "export",
    "runtime",
)


class Section(BaseModel):
    """Base of every section of `params.yaml`: unknown keys, wrong types and NaN are errors; instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _unique(phrases: list[str]) -> list[str]:
    # An accent may be typed as a character of its own, which espeak-ng reads otherwise, and a space in many widths.
    phrases = [" ".join(unicodedata.normalize("NFC", phrase).split()) for phrase in phrases]
    folded = [phrase.casefold() for phrase in phrases]
    for phrase in phrases:
        if folded.count(phrase.casefold()) > 1:
            raise ValueError(f"the phrase '{phrase}' stands there twice; keep one")
    return phrases


def inside(path: str) -> bool:
    """Say whether a relative path stays below the folder that it is relative to."""
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts


def _below_root(path: str) -> str:
    if not inside(path):
        raise ValueError("must lie below ingest.root; point ingest.root to a folder that holds it and give the rest")
    return path


# Sections that are no mapping, for the stages that read them.
_TEXT = r"^\S(.*\S)?$"
Text = Annotated[str, StringConstraints(pattern=_TEXT)]
BelowRoot = Annotated[Text, AfterValidator(_below_root)]
Phrases = Annotated[list[Text], Field(min_length=1), AfterValidator(_unique)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

S = TypeVar("S", bound=BaseModel)


def load(schema: type[S], path: Path = PARAMS_FILE) -> S:
    """Read the sections of `params.yaml` that `schema` has as fields, and no others.

    Args:
        schema: a model whose fields are top-level sections of the file.
        path: the parameters file.

    Raises:
        UserError: the file is missing or no YAML, has a section that does not exist, or a key or value that
            `schema` refuses. Every offending key is named with its full path.
    """
    document = read(path)
    known = set(SECTIONS)
    for name in document:
        if name not in known:
            raise UserError(f"{path}: unknown section '{name}'; the sections are {', '.join(SECTIONS)}")
    wanted = {name: document[name] for name in schema.model_fields if name in document}
    try:
        return schema.model_validate(wanted)
    except ValidationError as failure:
        raise UserError(_explain(path, failure, wanted)) from None


def read(path: Path) -> dict[str, Any]:
    """Return the file as a dictionary of sections, unchecked beyond being YAML."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run from the project's root, or restore it with git") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
        raise UserError(f"cannot read {path}: {failure}") from failure
    if not isinstance(document, dict):
        raise UserError(f"{path} must hold sections (`name: ...`), not {type(document).__name__}")
    return document


def _explain(path: Path, failure: ValidationError, document: dict[str, Any]) -> str:
    lines = []
    for problem in failure.errors(include_url=False):
        key = _key(problem["loc"], document)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{path}: unknown key '{key}'; remove it or correct its spelling")
        elif problem["type"] == "union_tag_invalid":
            context = problem["ctx"]
            name = str(context["discriminator"]).strip("'")
            known = str(context["expected_tags"]).replace("'", "")
            lines.append(f"{path}: '{key}.{name}' is '{context['tag']}'; choose one of {known}")
        elif problem["type"] == "union_tag_not_found":
            name = str(problem["ctx"]["discriminator"]).strip("'")
            lines.append(f"{path}: '{key}.{name}' is missing; add it")
        elif problem["type"] == "missing":
            lines.append(f"{path}: '{key}' is missing; add it")
        elif problem["type"] == "string_type" and isinstance(problem["input"], bool):
            lines.append(f"{path}: '{key}' is {problem['input']}, as YAML reads yes, no, on and off; put it in quotes")
        elif problem["type"] == "string_pattern_mismatch" and problem["ctx"]["pattern"] == _TEXT:
            lines.append(
                f"{path}: '{key}' is {problem['input']!r}; it must neither be empty nor begin or end with a space"
            )
        else:
            lines.append(f"{path}: '{key}' is {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _key(location: Sequence[int | str], document: dict[str, Any]) -> str:
    """Return a key as the file spells it: without the names of variants, which pydantic puts between."""
    parts: list[str] = []
    here: Any = document
    for place, part in enumerate(location, start=1):
        if isinstance(here, dict) and part not in here and place < len(location):
            continue
        parts.append(str(part))
        if isinstance(here, list) and isinstance(part, int):
            here = here[part] if part < len(here) else None  # a list that is too short lacks the very element
        else:
            here = here.get(part) if isinstance(here, dict) else None
    return ".".join(parts)
