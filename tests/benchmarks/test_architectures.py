"""The counts of docs/architectures.md against sums by hand."""

import pytest
from benchmarks.architectures import described, exported, macs_per_second, untrained

from wakeword.models.config import CrnnConfig, DsTcnConfig, MixedNetConfig
from wakeword.runtime.scorer import Scorer


def test_multiplications_are_those_counted_by_hand() -> None:
    blocks = 9 * (64 * 5 + 64 * 64)
    assert macs_per_second(untrained(DsTcnConfig()).network) == pytest.approx(50 * (40 * 64 * 4 + blocks + 64))
    # Three positions over bands; then 40 steps of a GRU, a dense layer and the head.
    crnn = 24 * 3 * 20 * 6 + 40 * 3 * 48 * (72 + 48) + 48 * 32 + 32
    assert macs_per_second(untrained(CrnnConfig()).network) == pytest.approx(crnn / 0.03)


def test_networks_as_they_are_initialised_have_files_too() -> None:
    """Their biases are equal, which an exporter stores once."""
    model = untrained(MixedNetConfig(channels=8, stem_channels=8, kernels=[[3], [3, 5]]))
    fp32, int8 = exported(model)
    assert Scorer(fp32).info.hop_samples == Scorer(int8).info.hop_samples == 480


def test_a_row_names_what_differs_from_the_defaults() -> None:
    row = described(DsTcnConfig(stride=3), untrained(DsTcnConfig(stride=3)))
    assert row["config"] == {"name": "ds_tcn", "stride": 3}
    assert (row["frame_shift_ms"], row["receptive_field_ms"], row["state_bytes"]) == (30, 2595.0, 4 * 5456 + 4 * 40)
