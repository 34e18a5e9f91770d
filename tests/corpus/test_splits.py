from tests.corpus.clips import clip, synthetic
from wakeword.corpus.splits import ENOUGH_RECORDINGS, judged_by


def test_a_handful_of_recordings_does_not_judge_alone() -> None:
    """One recorded phrase once hid 120 synthetic ones, and chose epoch and threshold by itself."""
    machines = [synthetic(clip(number, "positive")) for number in range(120)]
    people = [clip(number, "positive") for number in range(200, 200 + ENOUGH_RECORDINGS)]
    others = [clip(number) for number in range(300, 330)]
    assert judged_by([*machines, people[0]]) == [*machines, people[0]]
    assert judged_by([*machines, *people[1:]]) == [*machines, *people[1:]]
    assert judged_by([*machines, *people]) == people
    # Of other sound there are none but recordings; the phrase has none.
    assert judged_by([*machines, *others]) == [*machines, *others]
