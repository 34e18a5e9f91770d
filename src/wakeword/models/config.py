"""The `model` section of `params.yaml`: which architecture, how large."""

from typing import Annotated, Literal

from pydantic import Field

from wakeword.base.params import Section


class DsTcnConfig(Section):
    """A depthwise-separable temporal convolutional network (see `wakeword.models.ds_tcn`).

    Attributes:
        stride: feature frames of 10 ms for each score.
        channels: width of every layer.
        kernel: taps of each depthwise convolution.
        dilations: one block for each, in every stack.
        stacks: how often the sequence of dilations repeats.
        dropout: share of channels dropped before the head while training.
    """

    name: Literal["ds_tcn"] = "ds_tcn"
    stride: Literal[2, 3] = 2
    channels: int = Field(64, ge=8, le=512)
    kernel: int = Field(5, ge=2, le=15)
    dilations: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=8)] = [1, 2, 4]
    stacks: int = Field(3, ge=1, le=8)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)


ModelConfig = DsTcnConfig
