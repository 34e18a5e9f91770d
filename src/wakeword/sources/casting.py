"""Who says each utterance, and how: the engines take turns by their shares, an engine's voices one after another."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from wakeword.engines import espeak
from wakeword.engines.espeak import Espeak, EspeakConfig
from wakeword.engines.registry import casts, turns
from wakeword.engines.speaker import Speaker, drawn
from wakeword.sources.synthesis_config import SynthesisConfig
from wakeword.sources.voice_change import VoiceChange, draw

_ORDER, _CHANGE, _PACE, _FOREIGN = 4, 5, 6, 7
_FASTEST_WPM = 450

Casting = Callable[[Sequence[int], int, bool], tuple[Speaker, VoiceChange | None]]
"""Gives who says an utterance, by the numbers that stand for its kind of use and its own number, and by whether it is
running speech."""

ForeignCasting = Callable[[str, int, bool], tuple[Speaker, VoiceChange | None]]
"""Gives who says an utterance in another language, by that, its number, and whether it is running speech."""


def casting(config: SynthesisConfig, language: str, seed: int, root: Path) -> Casting:
    """Return what chooses a speaker; its choice depends on `seed` and the utterance's numbers alone.

    Args:
        config: the section `ingest.synthesis`.
        language: ISO 639 code.
        seed: of the choices.
        root: what voices that are files lie below.

    Raises:
        UserError: an engine is not there, or can't speak as configured.
    """
    engines = casts(config.engines, language, root)
    # What is as short as a phrase is shared out as phrases are: who says them more would give them away.
    whose = turns(list(config.engines.shares().values()), max(config.positives, config.negatives))
    whose_running = turns(list(config.engines.running_shares().values()), config.negatives)

    def choose(stream: Sequence[int], index: int, running: bool) -> tuple[Speaker, VoiceChange | None]:
        engine, number = (whose_running if running else whose)[index]
        voices = engines[engine].voices
        turn, place = divmod(number, len(voices))
        # Everybody has a turn before anybody has another, in an order that changes each time.
        voice = voices[_order(len(voices), (seed, _ORDER, *stream, turn))[place]]
        speaker = engines[engine].draw(voice, np.random.default_rng([seed, *stream, index]))
        if running:
            speaker = _running(speaker, config, np.random.default_rng([seed, _PACE, *stream, index]))
        return speaker, draw(config.voice_change, np.random.default_rng([seed, _CHANGE, *stream, index]))

    return choose


def _running(speaker: Speaker, config: SynthesisConfig, rng: np.random.Generator) -> Speaker:
    """Return the speaker at the pace of running speech; the other engines than espeak-ng have no slow pace to leave."""
    if not isinstance(speaker, Espeak):
        return speaker
    return replace(speaker, rate_wpm=min(_FASTEST_WPM, round(speaker.rate_wpm * drawn(config.running_pace, rng))))


def foreign_casting(config: SynthesisConfig, by: EspeakConfig, seed: int) -> ForeignCasting:
    """Return what chooses who says an utterance in another language: a throat of espeak-ng, in an accent of that.

    Args:
        config: the section `ingest.synthesis`.
        by: how espeak-ng speaks; the accents that it names are those of the phrase's language.
        seed: of the choices.
    """
    any_accent = by.model_copy(update={"voices": None})

    def choose(language: str, index: int, running: bool) -> tuple[Speaker, VoiceChange | None]:
        rng = np.random.default_rng([seed, _FOREIGN, index])
        speaking = espeak.cast(any_accent, language, Path())
        speaker = speaking.draw(speaking.voices[int(rng.integers(len(speaking.voices)))], rng)
        return _running(speaker, config, rng) if running else speaker, draw(config.voice_change, rng)

    return choose


@cache
def _order(count: int, seeds: tuple[int, ...]) -> list[int]:
    return [int(place) for place in np.random.default_rng(seeds).permutation(count)]
