"""Saying an utterance: one engine's speaker says it, a vocoder may change the voice, and the result is checked."""

from dataclasses import dataclass

import numpy as np
import soxr

from wakeword.corpus.manifest import SAMPLE_RATE, Label, Origin, Recording, Rejection
from wakeword.engines.speaker import CannotSay, Speaker
from wakeword.sources.activity import active_interval
from wakeword.sources.decode import to_int16
from wakeword.sources.voice_change import VoiceChange, changed

# Bounds of a plausible active duration in seconds, at an engine's usual pace: so much for each phoneme, and at most
# so much more. Human variants of espeak-ng measured 0.05 to 0.19 a phoneme; outside, something was left out, spelled
# out or drowned.
_SHORTEST_PER_PHONEME = 0.045
_LONGEST_PER_PHONEME, _LONGEST_EXTRA = 0.25, 0.3
_QUIETEST_PEAK = 200


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is to be said, by whom and how.

    Attributes:
        text: what to say.
        label: what it is to a detector.
        phrase: the wake phrase that it speaks; None unless `label` is positive.
        kind: "phrase", or one of `synthesis_config.Kind`.
        language: ISO 639 code, as in params.
        by: a voice of an engine and its manner.
        change: what is then changed of the voice; None for nothing.
    """

    text: str
    label: Label
    phrase: str | None
    kind: str
    language: str
    by: Speaker
    change: VoiceChange | None = None

    @property
    def description(self) -> str:
        change = f" changed {self.change.description}" if self.change else ""
        return f"{self.by.description}{change}: {self.text!r}"


def speak(utterance: Utterance) -> Recording | Rejection:
    """Say one utterance; the same utterance gives the same samples in any process and any order.

    Engines can crash: call it through `wakeword.workers.ordered_map`.

    Returns:
        The recording, int16 at 16 kHz; or a rejection naming text and voice where the engine can't say the text, or
        the result is silent, clipped, or too short or too long for its text.

    Raises:
        ValueError: the engine has no such voice.
    """
    try:
        said = utterance.by.say(utterance.text, utterance.language)
    except CannotSay as failure:
        return _rejection(utterance, str(failure))
    # As floats: soxr dithers what it resamples as int16, with other noise in each process.
    pcm = to_int16(soxr.resample(said.samples.astype(np.float32) / 32768, said.rate, SAMPLE_RATE))
    peak = int(np.abs(pcm.astype(np.int32)).max(initial=0))
    if peak < _QUIETEST_PEAK:
        return _rejection(utterance, f"silent (peak {peak} of 32768)")
    if max(peak, int(np.abs(said.samples.astype(np.int32)).max())) >= 32767:
        return _rejection(utterance, "clipped (reaches full scale)")
    if utterance.change:
        pcm = changed(pcm, utterance.change)
    active = active_interval(pcm)
    seconds = (active[1] - active[0]) / SAMPLE_RATE
    pace = utterance.by.pace / (utterance.change.tempo if utterance.change else 1)
    shortest = _SHORTEST_PER_PHONEME * said.phonemes * pace
    longest = (_LONGEST_PER_PHONEME * said.phonemes + _LONGEST_EXTRA) * pace
    if not shortest <= seconds <= longest:
        expected = f"{said.phonemes} phonemes should take {shortest:.2f} to {longest:.2f} s"
        return _rejection(utterance, f"lasts {seconds:.2f} s, but its {expected}")
    return Recording(origin=_origin(utterance, said.engine), pcm=pcm, origin_rate=said.rate, active=active)


def _rejection(utterance: Utterance, reason: str) -> Rejection:
    return Rejection(utterance.description, f"{utterance.text!r} by {utterance.by.name}: {reason}")


def _origin(utterance: Utterance, engine: str) -> Origin:
    by = utterance.by
    return Origin(
        label=utterance.label,
        phrase=utterance.phrase,
        text=utterance.text,
        kind=utterance.kind,
        group=by.group,
        group_known=True,
        source=by.engine,
        licence=by.licence,
        language=utterance.language,
        path=utterance.description,
        synthesis={
            "engine": engine,
            **by.parameters,
            **(utterance.change.parameters if utterance.change else {}),
        },
    )
