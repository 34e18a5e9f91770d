"""The knobs of speech synthesized from a typed phrase."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from wakeword.base.params import Section

# Where this section stands in params.yaml, for messages that name a key.
KEY = "ingest.synthesis"

Percent = Annotated[int, Field(ge=0, le=99)]


class NegativeKinds(Section):
    """Which share of the negative utterances is of which kind; they sum to 1.

    Attributes:
        sentence: running words, drawn by how frequent they are.
        similar: words that sound nearly like the phrase.
        part: parts of the phrase, alone, reordered or among other words.
    """

    sentence: float = Field(0.6, ge=0, le=1)
    similar: float = Field(0.2, ge=0, le=1)
    part: float = Field(0.2, ge=0, le=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.sentence + self.similar + self.part
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise ValueError(f"the shares sum to {total:g}; make them sum to 1")
        return self


class SynthesisConfig(Section):
    """What espeak-ng says, and how.

    The default rate is the pace of people saying a wake phrase, not espeak-ng's usual 175 words a minute. Active
    durations in seconds, over all default accents and speakers:

                        5 %     median  95 %        people, range and median
        snowboy         0.51    0.67    0.97        0.56 to 1.05, 0.70
        smart mirror    0.62    0.85    1.18        0.62 to 1.18, 0.84

    Attributes:
        positives: utterances of each phrase.
        negatives: utterances of anything else.
        rate_wpm: lowest and highest nominal words a minute.
        pitch: lowest and highest; 50 is the speaker's own.
        pitch_range: lowest and highest; 0 is monotone, 50 the speaker's own.
        voices: accents such as "en-us"; null for every accent of the language.
        variants: speakers such as "f3"; null for every one that sounds human.
        kinds: shares of the kinds of negatives.
    """

    positives: int = Field(1500, ge=0, le=1_000_000)
    negatives: int = Field(7000, ge=0, le=1_000_000)
    rate_wpm: list[Annotated[int, Field(ge=80, le=450)]] = Field([95, 170], min_length=2, max_length=2)
    pitch: list[Percent] = Field([25, 75], min_length=2, max_length=2)
    pitch_range: list[Percent] = Field([20, 90], min_length=2, max_length=2)
    voices: list[str] | None = Field(None, min_length=1)
    variants: list[str] | None = Field(None, min_length=1)
    kinds: NegativeKinds = Field(default_factory=NegativeKinds)

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for name in ("rate_wpm", "pitch", "pitch_range"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low}, {high}]; put the lower value first")
        return self

    @model_validator(mode="after")
    def _something_to_say(self) -> Self:
        if self.positives == self.negatives == 0:
            raise ValueError("positives and negatives are both 0; raise one, or set synthesis to null")
        return self
