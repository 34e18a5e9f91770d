"""What `params.yaml` says about where clips come from and how they are split; see `wakeword.base.params`."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from wakeword.base.params import BelowRoot, Section, Text
from wakeword.corpus.manifest import Label
from wakeword.sources.corpora_config import CorpusConfig
from wakeword.sources.synthesis_config import SynthesisConfig


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as failure:
        raise ValueError(f"is no regular expression: {failure}") from None
    return pattern


class Columns(Section):
    """Which column of a metadata file holds what; only those named are read, and each must be there."""

    path: Text = "path"
    speaker: Text | None = None
    phrase: Text | None = None
    text: Text | None = None
    kind: Text | None = None
    source: Text | None = None
    licence: Text | None = None
    language: Text | None = None


class FolderConfig(Section):
    """A folder of recordings below `ingest.root`.

    Attributes:
        path: the folder, relative to `ingest.root`.
        label: what everything in it is. Without one, it holds positive/, negative/, hard_negative/, background/, rirs/.
        phrase: the phrase that its positives speak; not needed while there is one phrase only.
        kind: what kind of sound it is; evaluation reports by it. By default one for each label.
        source: name of the data set.
        licence: its licence.
        language: ISO 639 code of what is said.
        metadata: a CSV file, relative to `ingest.root`; the paths in it are relative to its own folder. By default
            the folder's metadata.csv, where there is one.
        columns: the CSV's columns, where they are not called path, speaker and so on.
        group_pattern: a regular expression looked for in each path below `ingest.root`; what it finds (its first
            bracket, where it has one) names the group, where speaker=NAME and metadata name none.
    """

    path: BelowRoot
    label: Label | None = None
    phrase: Text | None = None
    kind: Text | None = None
    source: Text = "recordings"
    licence: Text = "unknown"
    language: Text | None = None
    metadata: BelowRoot | None = None
    columns: Columns | None = None
    group_pattern: Annotated[Text, AfterValidator(_regex)] | None = None

    @model_validator(mode="after")
    def _no_inert_keys(self) -> Self:
        if self.phrase is not None and self.label != "positive":
            raise ValueError("has a phrase but not the label positive; remove the phrase or add `label: positive`")
        if self.columns is not None and self.metadata is None:
            raise ValueError("has columns but no metadata; name the CSV file as metadata, or remove columns")
        if self.kind is not None and self.label is None:
            raise ValueError("has a kind but no label, so that speech and noise would be of one kind; add a label")
        return self


class IngestConfig(Section):
    """The section `ingest`.

    Attributes:
        root: everything that is read from disk lies below this folder, which may be outside the project.
        folders: what is read below it.
        corpora: public corpora, read by name.
        synthesis: speak the phrases with an embedded synthesizer; null for recordings alone.
    """

    root: Text = "data/raw"
    folders: list[FolderConfig] = Field(default_factory=lambda: [FolderConfig(path=".")])
    corpora: list[CorpusConfig] = Field(default_factory=list)
    synthesis: SynthesisConfig | None = None

    @model_validator(mode="after")
    def _each_source_once(self) -> Self:
        paths = [PurePosixPath(folder.path) for folder in self.folders]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f"the folder '{path}' stands in folders twice; keep one")
        places = [corpus.url or str(PurePosixPath(corpus.path or "")) for corpus in self.corpora]
        for place in places:
            if places.count(place) > 1:
                raise ValueError(f"'{place}' stands in corpora twice; keep one")
        if not self.folders and not self.corpora and self.synthesis is None:
            raise ValueError("names no source: list folders of recordings, or corpora, or set synthesis")
        return self
