"""What is seen of a training while it runs, none of which changes its result: time left, system figures, live plots."""

import csv
import io
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from wakeword.base.errors import UserError
from wakeword.base.files import write_bytes

Rows = Sequence[dict[str, float]]
# Takes the history of all epochs so far and their system figures, one row an epoch in each.
Watch = Callable[[Rows, Rows], None]

# DVC reads it while the training runs. It can't be ignored by git as the rest of the folder is: DVC would not see it.
_LIVE_DVC_YAML = """\
metrics:
  - metrics.json
plots:
  - plots/metrics:
      x: step
"""


def seconds_left(elapsed: float, done: float, of: float) -> int:
    """Return the seconds that the rest of `of` epochs takes if `done` of them, above 0, took `elapsed` seconds."""
    return round(elapsed / done * (of - done))


def system_figures(device: torch.device, steps: int, seconds: float) -> dict[str, float]:
    """Return what the steps since the last call took of the machine.

    Args:
        device: where they were computed.
        steps: how many.
        seconds: how long they took.

    Returns:
        `steps_per_s`; `memory_mb`, the most that this process has had in memory so far, in MiB; on a GPU
        `gpu_memory_mb`, the most that tensors took up since the last call.
    """
    # In KiB, but on macOS in bytes.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    figures = {"steps_per_s": steps / seconds, "memory_mb": memory / 2**20}
    if device.type == "cuda":
        figures["gpu_memory_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
        torch.cuda.reset_peak_memory_stats(device)
    return figures


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows of the same figures as CSV, with six significant digits."""
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0], lineterminator="\n")
    table.writeheader()
    table.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    write_bytes(path, text.getvalue().encode())


@contextmanager
def live(folder: Path) -> Iterator[Watch]:
    """Yield what shows a training through DVCLive: in `dvc plots`, in VS Code and, after a login, in DVC Studio.

    The plots are made anew from the history that is given first, so that those of a training that was cut off show
    every epoch once. While the training runs, a `dvc.yaml` in the folder tells DVC of them; it goes when the
    training ends, and what is to stay in an experiment are the outs of the stage.

    Args:
        folder: where DVCLive writes; emptied of what an earlier training left.

    Raises:
        UserError: DVCLive is not installed.
    """
    try:
        from dvclive.live import Live
    except ModuleNotFoundError as missing:
        raise UserError(
            f"runtime.live is true, but the package {missing.name} is missing; "
            "pip install 'wakeword[live]', or set runtime.live to false"
        ) from missing
    shown, declared = 0, folder / "dvc.yaml"
    declared.unlink(missing_ok=True)

    def watch(history: Rows, system: Rows) -> None:
        nonlocal shown
        for row, figures in list(zip(history, system, strict=True))[shown:]:
            shown = logger.step = int(row["epoch"])
            figures = {f"system/{name}": value for name, value in figures.items()}
            for name, value in (row | figures).items():
                if name.rpartition("/")[2] != "epoch":  # DVCLive calls it step
                    logger.log_metric(name, value)
            logger.next_step()
        if not declared.exists():
            write_bytes(declared, _LIVE_DVC_YAML.encode())

    with Live(str(folder), dvcyaml=False, save_dvc_exp=False) as logger:
        try:
            yield watch
        finally:
            # Before DVCLive ends: it would put the file into the experiment.
            declared.unlink(missing_ok=True)
