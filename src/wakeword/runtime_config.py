"""The `runtime` section of `params.yaml`: where things run. It changes no result, so no stage declares it."""

from typing import Literal

from pydantic import Field

from wakeword.base.params import Section, Text


class RuntimeConfig(Section):
    """Machine settings.

    Attributes:
        workers: worker processes; none means one a core.
        device: where to train; "auto" takes a GPU if there is one.
        downloads: a folder that keeps downloaded corpora; projects may share it.
        cache_mb: most MiB of training features that are kept in memory; the others are read from disk when needed.
        live: show a training while it runs in `dvc plots`, VS Code and DVC Studio, through DVCLive.
    """

    workers: int | None = Field(None, ge=1, le=1024)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    downloads: Text = ".cache/downloads"
    cache_mb: int = Field(1024, ge=1, le=1_000_000)
    live: bool = False
