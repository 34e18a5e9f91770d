"""The detector that ships: exported files and their policies, from audio to detections."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wakeword.detection.policy import Policy, PolicyState
from wakeword.runtime.scorer import ModelInfo, Scorer

Model = str | os.PathLike[str] | bytes


@dataclass(frozen=True, slots=True)
class Detection:
    """A wake phrase was heard.

    Attributes:
        phrase: which one.
        time_s: when it was detected, in seconds of audio since the stream began.
        score: the smoothed score there, in 0..1.
        model: which model heard it: its path as it was given, or `model N` for content given as the N-th.
    """

    phrase: str
    time_s: float
    score: float
    model: str = ""


class Detector:
    """Listens to one stream for the phrases of one model, or of several at once.

    An instance belongs to one stream, and to one thread at a time. `fresh` makes one for another stream that shares
    the loaded models; instances that share models may run in different threads at once.

    Args:
        models: path of an exported file, or its content, or a sequence of such.
        threshold: use this instead of the thresholds that the models were measured with.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not one of our models, one is given twice or none at all, or the threshold is not in (0, 1].
    """

    def __init__(self, models: Model | Sequence[Model], threshold: float | None = None) -> None:
        named = _named(models)
        self._ears = [_Ear(name, Scorer(model), threshold) for name, model in named.items()]

    @property
    def models(self) -> dict[str, ModelInfo]:
        """What each model's file says of itself, by the name that detections give the model."""
        return {ear.name: ear.info for ear in self._ears}

    @property
    def info(self) -> ModelInfo:
        """What the model's file says of itself.

        Raises:
            ValueError: there are several; see `models`.
        """
        if len(self._ears) > 1:
            raise ValueError(f"there are {len(self._ears)} models; `models` tells of each")
        return self._ears[0].info

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrases listened for, model after model, in the order of the score columns."""
        return tuple(phrase for ear in self._ears for phrase in ear.info.phrases)

    @property
    def latest(self) -> np.ndarray:
        """What a meter shows: each phrase's highest score in the last chunk that gave any, `(phrases,)`, unsmoothed."""
        return np.concatenate([ear.scores.max(axis=0) for ear in self._ears])

    def process(self, chunk: np.ndarray) -> list[Detection]:
        """Take the next samples of the stream and return what was detected in them, in order.

        Args:
            chunk: `(samples,)` at 16 kHz, any number of them; int16, or float with full scale at 1.
        """
        found = [detection for ear in self._ears for detection in ear.process(chunk)]
        return sorted(found, key=lambda detection: detection.time_s)

    def scores(self, audio: np.ndarray) -> np.ndarray:
        """Score a whole recording that silence precedes; the stream of `process` is not touched.

        Args:
            audio: `(samples,)` as for `process`; may be memory-mapped, it is read a second at a time.

        Returns:
            Probabilities `(frames, phrases)` float32; row i is the score at `(i + 1) * frame_shift_ms`.

        Raises:
            ValueError: the models do not score equally often, so their scores have no common rows.
        """
        shifts = {ear.info.frame_shift_ms for ear in self._ears}
        if len(shifts) > 1:
            raise ValueError(f"the models score every {sorted(shifts)} ms; make a detector of each to see its scores")
        return np.concatenate([ear.scorer.fresh().score(audio) for ear in self._ears], axis=1)

    def reset(self) -> None:
        """Begin a new stream: forget the audio, and count time from 0 again."""
        for ear in self._ears:
            ear.reset()

    def fresh(self) -> "Detector":
        """Return a detector for another stream that shares the loaded models with this one."""
        other = object.__new__(Detector)
        other._ears = [ear.fresh() for ear in self._ears]
        return other


class _Ear:
    """One model's part in a stream: its scorer, and a policy for each of its phrases."""

    def __init__(self, name: str, scorer: Scorer, threshold: float | None) -> None:
        self.name, self.scorer, self.info = name, scorer, scorer.info
        missing = [phrase for phrase in self.info.phrases if phrase not in self.info.policies]
        if missing:
            raise ValueError(f"{name} holds no detection policy for '{missing[0]}'; run the export stage")
        self._policies = [_with_threshold(self.info.policies[phrase], threshold) for phrase in self.info.phrases]
        self._start()

    def _start(self) -> None:
        self.scores = np.zeros((1, len(self.info.phrases)), dtype=np.float32)
        self._states = [PolicyState(policy, self.info.frame_shift_ms) for policy in self._policies]

    def reset(self) -> None:
        self.scorer.reset()
        self._start()

    def fresh(self) -> "_Ear":
        other = object.__new__(_Ear)
        other.name, other.scorer, other.info = self.name, self.scorer.fresh(), self.info
        other._policies = self._policies
        other._start()
        return other

    def process(self, chunk: np.ndarray) -> list[Detection]:
        scores = self.scorer.score(chunk)
        if not len(scores):
            return []
        self.scores = scores
        return [
            Detection(phrase, event.time_s, event.score, self.name)
            for column, (phrase, state) in enumerate(zip(self.info.phrases, self._states, strict=True))
            for event in state.process(scores[:, column])
        ]


def _named(models: Model | Sequence[Model]) -> dict[str, Model]:
    """Return the models by the names that detections give them."""
    sequence = [models] if isinstance(models, str | bytes | os.PathLike) else list(models)
    if not sequence:
        raise ValueError("no model is given; name at least one exported file")
    named: dict[str, Model] = {}
    for number, model in enumerate(sequence, start=1):
        name = f"model {number}" if isinstance(model, bytes) else os.fspath(model)
        if name in named:
            raise ValueError(f"{name} is given twice; name each model once")
        named[name] = model
    return named


def _with_threshold(policy: Policy, threshold: float | None) -> Policy:
    if threshold is None:
        return policy
    return replace(policy, threshold=threshold, release=float(threshold) * policy.release / policy.threshold)
