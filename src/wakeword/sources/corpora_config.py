"""The knobs of public corpora that are read by name."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from wakeword.base.params import Section, Text

CorpusName = Literal[
    "speech_commands",
    "librispeech",
    "common_voice",
    "musan",
    "esc50",
    "demand",
    "openslr_rirs",
    "asterisk",
    "tuxpaint",
    "fillets",
    "hedgewars",
    "kde_words",
]


class CorpusConfig(Section):
    """A public corpus, from a folder that it was unpacked to or from a web address. Several entries may share a name.

    Attributes:
        name: which corpus it is; that decides labels, groups, texts and licence (docs/data.md has a table).
        path: the folder it was unpacked to, relative to `ingest.root` or absolute.
        url: where its archive (tar or zip) is downloaded from instead.
        sha256: of that archive, 64 hex digits.
        only: the parts that are read: words of speech_commands, subsets of librispeech, languages of common_voice,
            speech, noise and music of musan, categories of esc50, environments of demand, of openslr_rirs smallroom,
            mediumroom, largeroom, real, isotropic and pointsource, and what docs/data.md says of the others. All, where
            there is none.
        most: no more than so many files, picked by a hash of their paths.
    """

    name: CorpusName
    path: Text | None = None
    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    only: list[Text] | None = Field(None, min_length=1)
    most: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("needs either a path or a url; give one of them")
        if (self.url is None) != (self.sha256 is None):
            raise ValueError("needs url and sha256 together, so that what was downloaded can be verified")
        return self
