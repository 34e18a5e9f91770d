"""The `model` section of `params.yaml`: which architecture, how large."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

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


class BcResNetConfig(Section):
    """A broadcasted-residual network over time and bands (see `wakeword.models.bc_resnet`); mels must divide by 8.

    Attributes:
        tau: width; 1, 1.5 and so on in the paper, here in whole numbers.
        stride: feature frames of 10 ms for each score; the paper has 1.
        dilations: over time, in each of the four stages; the paper has 1, 2, 4, 8.
        pool_frames: the last scores whose features are averaged, in place of the paper's whole clip.
        dropout: share of channels dropped in each block while training.
    """

    name: Literal["bc_resnet"] = "bc_resnet"
    tau: int = Field(1, ge=1, le=8)
    stride: Literal[1, 2, 3] = 2
    dilations: Annotated[list[Annotated[int, Field(ge=1, le=16)]], Field(min_length=4, max_length=4)] = [1, 2, 2, 4]
    pool_frames: int = Field(8, ge=1, le=100)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)


class MixedNetConfig(Section):
    """Depthwise convolutions of several kernel sizes side by side (see `wakeword.models.mixed_net`).

    Attributes:
        stride: feature frames of 10 ms for each score.
        stem_channels, stem_kernel: of the first convolution, over all bands.
        channels: width of every block.
        kernels: for each block, the kernel sizes that share its channels.
        residual: add a projection of each block's input to its output.
        head_frames: the last scores whose features are seen by the final layer.
        dropout: share of channels dropped before the head while training.
    """

    name: Literal["mixed_net"] = "mixed_net"
    stride: Literal[1, 2, 3, 4] = 3
    stem_channels: int = Field(32, ge=8, le=512)
    stem_kernel: int = Field(5, ge=4, le=15)
    channels: int = Field(64, ge=8, le=512)
    kernels: Annotated[
        list[Annotated[list[Annotated[int, Field(ge=2, le=64)]], Field(min_length=1, max_length=8)]],
        Field(min_length=1, max_length=12),
    ] = [[5], [7, 11], [9, 15], [23]]
    residual: bool = False
    head_frames: int = Field(5, ge=1, le=50)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)


class CrnnConfig(Section):
    """A convolution and a GRU of bounded context (see `wakeword.models.crnn`).

    Attributes:
        stride: feature frames of 10 ms for each score.
        channels: of the convolution.
        hidden, layers: width and depth of the GRU.
        context: steps that the GRU takes for each score, starting from zero.
        dense: width of the layer after it.
        dropout: share of channels dropped before the head while training.
    """

    name: Literal["crnn"] = "crnn"
    stride: Literal[2, 3, 4] = 3
    channels: int = Field(24, ge=4, le=512)
    hidden: int = Field(48, ge=8, le=512)
    layers: int = Field(1, ge=1, le=4)
    context: int = Field(40, ge=2, le=200)
    dense: int = Field(32, ge=8, le=512)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)


class ConformerConfig(Section):
    """Attention to a limited past beside convolutions (see `wakeword.models.conformer`).

    Attributes:
        stride: feature frames of 10 ms for each score.
        channels: width of every layer; a multiple of `heads`.
        blocks: how many.
        heads: of the attention.
        context: earlier scores that each block attends to.
        kernel: taps of each depthwise convolution.
        expansion: by how much the feed-forward layers are wider.
        dropout: share of activations dropped while training.
    """

    name: Literal["conformer"] = "conformer"
    stride: Literal[2, 3, 4] = 3
    channels: int = Field(32, ge=8, le=512)
    blocks: int = Field(3, ge=1, le=12)
    heads: int = Field(4, ge=1, le=16)
    context: int = Field(10, ge=1, le=100)
    kernel: int = Field(5, ge=2, le=31)
    expansion: int = Field(2, ge=1, le=8)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _heads_share_channels(self) -> Self:
        if self.channels % self.heads:
            raise ValueError(f"channels ({self.channels}) must be a multiple of heads ({self.heads})")
        return self


ModelConfig = Annotated[
    DsTcnConfig | BcResNetConfig | MixedNetConfig | CrnnConfig | ConformerConfig, Field(discriminator="name")
]
