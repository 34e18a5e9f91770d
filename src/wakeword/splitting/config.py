"""The `split` section of `params.yaml`: how many groups dev and test get, and which are put there by name."""

import unicodedata
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from wakeword.base.params import Section, Text
from wakeword.corpus.splits import SplitName


def _composed(pins: dict[str, SplitName]) -> dict[str, SplitName]:
    """Spell the patterns as groups are spelled: a path copied on a Mac has "é" as two characters."""
    return {unicodedata.normalize("NFC", pattern): split for pattern, split in pins.items()}


class SplitConfig(Section):
    """The section `split`.

    Attributes:
        dev: share of groups that go to dev.
        test: share of groups that go to test.
        pins: glob over group names -> split; the first that matches decides, and shares decide over the rest.
    """

    dev: float = Field(default=0.2, gt=0, lt=1)
    test: float = Field(default=0.2, gt=0, lt=1)
    pins: Annotated[dict[Text, SplitName], AfterValidator(_composed)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something_to_train_on(self) -> Self:
        if self.dev + self.test >= 1:
            raise ValueError("dev and test together leave nothing to train on; lower them to less than 1 in all")
        return self
