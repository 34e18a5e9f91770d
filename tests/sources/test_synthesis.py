"""Saying an utterance gives the same bytes every time, whatever its length."""

from dataclasses import dataclass, field

import numpy as np

from wakeword.corpus.manifest import Recording
from wakeword.engines.speaker import Said
from wakeword.sources.synthesis import Utterance, speak


@dataclass(frozen=True)
class Humming:
    """A voice that says everything with three seconds of noise and a little more."""

    engine: str = "hum"
    name: str = "hum"
    group: str = "hum:hum"
    licence: str = "none"
    description: str = "hum"
    pace: float = 1.0
    parameters: dict = field(default_factory=dict)

    def say(self, text: str, language: str) -> Said:
        noise = np.random.default_rng(0).standard_normal(66_200) * 3000
        return Said(noise.astype(np.int16), 22_050, 20, "hum 1")


def test_a_long_utterance_is_the_same_bytes_whatever_memory_held_before() -> None:
    """Resampled as int16, soxr dithers the end with noise that starts from whatever its memory held before."""
    utterance = Utterance("mmm", "negative", None, "sentence", "en", Humming())
    said, rng = set(), np.random.default_rng(1)
    for _ in range(8):
        used = [rng.bytes(int(size)) for size in rng.integers(1, 1_000_000, size=50)]
        del used
        result = speak(utterance)
        assert isinstance(result, Recording)
        said.add(result.pcm.tobytes())
    assert len(said) == 1
