"""Features are refused where another front-end made them."""

from pathlib import Path

import numpy as np
import pytest

from wakeword.base.errors import UserError
from wakeword.features.store import Stream, StreamSet, write


def test_features_of_another_front_end_are_refused(tmp_path: Path) -> None:
    made = (Stream("s", "clean", 0, 3, []), np.zeros((3, 2), np.float16), np.zeros(480, np.int16))
    write(tmp_path, "train", [made], "one", 2, 0.0)
    assert StreamSet.open(tmp_path, "train", "one").streams == StreamSet.open(tmp_path, "train").streams
    with pytest.raises(UserError, match="is of front-end one, but other is wanted; run `dvc repro featurize`"):
        StreamSet.open(tmp_path, "train", "other")
