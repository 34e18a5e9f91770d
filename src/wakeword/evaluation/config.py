"""The knobs of evaluation: which policies are tried on dev, and what is reported."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from wakeword.base.params import Section

Rate = Annotated[float, Field(gt=0, le=1000)]


class Votes(Section):
    """Take `needed` of the last `of` smoothed scores at or above the threshold as enough."""

    needed: int = Field(1, ge=1, le=100, description="smoothed scores that must reach the threshold")
    of: int = Field(1, ge=1, le=100, description="the last scores among which they are counted")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.needed > self.of:
            raise ValueError(f"needed ({self.needed}) must not exceed of ({self.of})")
        return self


class EvaluateConfig(Section):
    """How detections are judged, and how the operating point is chosen."""

    target_fah: Rate = Field(0.5, description="false alarms an hour that the operating point may have on dev")
    tolerance_ms: int = Field(500, ge=0, le=5000, description="a hit comes at most this long after the keyword's end")
    smoothing_frames: list[Annotated[int, Field(ge=1, le=500)]] = Field(
        [3, 1, 2, 5],
        min_length=1,
        max_length=8,
        description="moving averages to try on dev, in scores; training judges by the first",
    )
    votes: list[Votes] = Field([Votes()], min_length=1, max_length=8, description="votes to try on dev")
    release_ratio: float = Field(0.8, ge=0.1, le=1, description="re-arm below this share of the threshold")
    refractory_ms: int = Field(1000, ge=0, le=10_000, description="least time between two events")
    report_fah: list[Rate] = Field(
        [0.1, 0.5, 1.0, 2.0], min_length=1, max_length=20, description="false-alarm rates at which FRR is reported"
    )
    max_fah: Rate = Field(60.0, description="how far the DET curve goes, in false alarms an hour")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("smoothing_frames", "votes", "report_fah"):
            values = getattr(self, name)
            if any(value in values[:index] for index, value in enumerate(values)):
                raise ValueError(f"{name} holds the same value twice")
        highest = max(self.target_fah, *self.report_fah)
        if self.max_fah < highest:
            raise ValueError(f"max_fah ({self.max_fah:g}) is below {highest:g}, which target_fah or report_fah needs")
        return self
