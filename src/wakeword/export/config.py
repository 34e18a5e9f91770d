"""The `export` section of `params.yaml`: what is exported, and what it must hold to."""

from typing import Annotated

from pydantic import Field

from wakeword.base.params import Section

Kilobytes = Annotated[float, Field(gt=0.0, le=100_000.0)]


class Budget(Section):
    """What the exported files may cost.

    Attributes:
        fp32_kb, int8_kb: sizes of the files, in 1000 bytes.
        cpu_s_per_s: CPU seconds for each second of audio that arrives in chunks of 80 ms, on the exporting machine.
    """

    fp32_kb: Kilobytes = 300.0
    int8_kb: Kilobytes = 150.0
    cpu_s_per_s: float = Field(0.05, gt=0.0, le=1.0)


class ExportConfig(Section):
    """What to export and how far it may be from what was trained.

    Attributes:
        max_difference: largest difference allowed between a score of the exported file and of training's own code.
        budget: sizes and speed.
        int8_frr_points: percentage points of FRR that the quantized file may lose on the test streams. The default
            is what they can resolve: of 80 recordings one is 1.25 points.
        int8_fah: false alarms an hour that it may add there. One miss and one false alarm are always allowed:
            counts can't differ by less.
    """

    max_difference: float = Field(1e-4, gt=0.0, le=0.1)
    budget: Budget = Budget()
    int8_frr_points: float = Field(2.0, ge=0.0, le=100.0)
    int8_fah: float = Field(0.5, ge=0.0, le=1000.0)
