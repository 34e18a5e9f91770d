"""The knobs of speech synthesized from a typed phrase."""

import math
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from wakeword.base.params import Section
from wakeword.engines.registry import EnginesConfig
from wakeword.engines.speaker import Factors
from wakeword.sources.voice_change import VoiceChangeConfig

# Where this section stands in params.yaml, for messages that name a key.
KEY = "ingest.synthesis"


Kind = Literal["sentence", "word", "similar", "part", "reordered", "in_sentence"]
"""What a negative utterance may be; evaluation reports by it."""


class NegativeKinds(Section):
    """Which share of the negative utterances is of which kind; they sum to 1.

    Attributes:
        sentence: running sentences of the language's usual words, drawn by how frequent they are.
        word: one to three such words, alone.
        similar: words that sound nearly like the phrase.
        part: parts of the phrase, alone.
        reordered: the phrase's words, or the parts of its only word, in other orders.
        in_sentence: the phrase's own words, or the parts of its only word, and words that sound nearly like it, within
            running sentences.
    """

    sentence: float = Field(0.5, ge=0, le=1)
    word: float = Field(0.13, ge=0, le=1)
    similar: float = Field(0.13, ge=0, le=1)
    part: float = Field(0.06, ge=0, le=1)
    reordered: float = Field(0.03, ge=0, le=1)
    in_sentence: float = Field(0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = sum(self.shares().values())
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise ValueError(f"the shares sum to {total:g}; make them sum to 1")
        return self

    def shares(self) -> dict[Kind, float]:
        """Return the share of each kind."""
        return {kind: getattr(self, kind) for kind in get_args(Kind)}


class SynthesisConfig(Section):
    """What is said, and by whom.

    Attributes:
        positives: utterances of each phrase.
        negatives: utterances of anything else in the phrase's language.
        foreign: utterances in other languages, all that espeak-ng and wordfreq know; said by espeak-ng, and none where
            it is not among the engines.
        kinds: shares of the kinds of negatives.
        running_pace: how many times as fast as a phrase espeak-ng says running sentences, lowest and highest; people
            say a wake phrase slowly.
        engines: which synthesizers speak, and how.
        voice_change: what a vocoder then makes of some of the voices.
    """

    positives: int = Field(1500, ge=0, le=1_000_000)
    negatives: int = Field(7000, ge=0, le=1_000_000)
    foreign: int = Field(0, ge=0, le=1_000_000)
    kinds: NegativeKinds = Field(default_factory=NegativeKinds)
    running_pace: Factors = Field([1.0, 1.3])
    engines: EnginesConfig = Field(default_factory=EnginesConfig)
    voice_change: VoiceChangeConfig = Field(default_factory=VoiceChangeConfig)

    @model_validator(mode="after")
    def _something_to_say(self) -> Self:
        if self.positives == self.negatives == 0:
            raise ValueError("positives and negatives are both 0; raise one, or set synthesis to null")
        return self
