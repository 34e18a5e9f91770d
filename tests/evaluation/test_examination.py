from dataclasses import replace

import numpy as np

from tests.corpus.clips import clip
from wakeword.evaluation.examination import fired_by_kind


def test_clips_of_another_phrase_do_not_count_as_the_phrase() -> None:
    """Half of the clips of one phrase once seemed to be missed, as they were those of the other."""
    clips = [clip(0, "positive", phrase="snowboy"), clip(1, "positive", phrase="smart mirror"), clip(2)]
    clips[:2] = [replace(one, origin=replace(one.origin, kind="phrase")) for one in clips[:2]]
    found = fired_by_kind("snowboy", clips, np.array([True, False, False]))
    counts = {kind: (row["fired"], row["clips"]) for kind, row in found.items()}
    assert counts == {"another phrase": (0, 1), "phrase": (1, 1), "speech": (0, 1)}
