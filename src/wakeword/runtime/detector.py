"""The detector that ships: an exported file and its policy, from audio to detections."""

import os
from dataclasses import dataclass, replace

import numpy as np

from wakeword.detection.policy import Policy, PolicyState
from wakeword.runtime.scorer import ModelInfo, Scorer


@dataclass(frozen=True, slots=True)
class Detection:
    """A wake phrase was heard.

    Attributes:
        phrase: which one.
        time_s: when it was detected, in seconds of audio since the stream began.
        score: the smoothed score there, in 0..1.
    """

    phrase: str
    time_s: float
    score: float


class Detector:
    """Listens to one stream for the phrases of one model.

    An instance belongs to one stream and one thread at a time; for several streams or models make several.

    Args:
        model: path of an exported file, or its content.
        threshold: use this instead of the threshold that the model was measured with.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not one of our models, or the threshold is not in (0, 1].
    """

    def __init__(self, model: str | os.PathLike[str] | bytes, threshold: float | None = None) -> None:
        self._scorer = Scorer(model)
        missing = [phrase for phrase in self.phrases if phrase not in self.info.policies]
        if missing:
            raise ValueError(f"the model holds no detection policy for '{missing[0]}'; run the export stage")
        self._policies = [_with_threshold(self.info.policies[phrase], threshold) for phrase in self.phrases]
        self._start()

    @property
    def info(self) -> ModelInfo:
        """What the model's file says of itself."""
        return self._scorer.info

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrases listened for, in the order of the score columns."""
        return self.info.phrases

    def process(self, chunk: np.ndarray) -> list[Detection]:
        """Take the next samples of the stream and return what was detected in them, in order.

        Args:
            chunk: `(samples,)` at 16 kHz, any number of them; int16, or float with full scale at 1.
        """
        scores = self._scorer.score(chunk)
        found = [
            Detection(phrase, event.time_s, event.score)
            for column, (phrase, state) in enumerate(zip(self.phrases, self._states, strict=True))
            for event in state.process(scores[:, column])
        ]
        return sorted(found, key=lambda detection: detection.time_s)

    def scores(self, audio: np.ndarray) -> np.ndarray:
        """Score a whole recording that silence precedes; the stream of `process` is not touched.

        Args:
            audio: `(samples,)` as for `process`; may be memory-mapped, it is read a second at a time.

        Returns:
            Probabilities `(frames, phrases)` float32; row i is the score at `(i + 1) * info.frame_shift_ms`.
        """
        return self._scorer.fresh().score(audio)

    def reset(self) -> None:
        """Begin a new stream: forget the audio, and count time from 0 again."""
        self._scorer.reset()
        self._start()

    def _start(self) -> None:
        self._states = [PolicyState(policy, self.info.frame_shift_ms) for policy in self._policies]


def _with_threshold(policy: Policy, threshold: float | None) -> Policy:
    if threshold is None:
        return policy
    return replace(policy, threshold=threshold, release=min(policy.release, threshold))
