"""espeak-ng as an engine: the embedded default, with accents of about 100 languages spoken by some 60 throats."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from wakeword.base.errors import UserError
from wakeword.engines.espeak_library import VOLUME, synthesize, variants, voices, voices_of
from wakeword.engines.speaker import KEY, LICENCE, Cast, EngineConfig, Parameter, Said, Share

ENGINE = "espeak-ng"
USUAL_WPM = 175

NOT_HUMAN = {
    "AnxiousAndy": "no third formant",
    "Andy": "no third formant",
    "Demonic": "an echo as loud as the voice",
    "Jacky": "third formant at 15 % of its place",
    "Lee": "third formant at 9 % of its place",
    "Marco": "formants no throat has; drawls at half the pace",
    "Michael": "third formant at 59 % of its place",
    "Reed": "fricatives drown its vowels",
    "RicishayMax": "an echo as loud as the voice",
    "RicishayMax2": "an echo as loud as the voice",
    "RicishayMax3": "an echo as loud as the voice",
    "Tweaky": "third formant at twice its place",
    "UniRobot": "a robot",
    "adam": "fricatives drown its vowels",
    "anikaRobot": "a robot",
    "announcer": "a public address system's echo",
    "antonio": "overdriven, clips",
    "benjamin": "fricatives drown its vowels",
    "boris": "third formant at 57 % of its place",
    "caleb": "whispers",
    "david": "fricatives drown its vowels",
    "edward2": "fricatives drown its vowels",
    "fast": "a test of espeak-ng's pace; otherwise the plain voice",
    "gustave": "third formant at 72 % of its place, first at 77 %",
    "iven": "overdriven, clips",
    "kaukovalta": "first formant at 40 % of its place",
    "klatt": "fricatives drown its vowels",
    "klatt2": "fricatives drown its vowels",
    "klatt3": "fricatives drown its vowels",
    "klatt5": "fricatives drown its vowels",
    "klatt6": "fricatives drown its vowels",
    "m8": "fricatives drown its vowels",
    "marcelo": "third formant at 59 % of its place",
    "mike2": "fricatives drown its vowels",
    "robosoft": "a robot",
    "robosoft2": "a robot",
    "robosoft3": "a robot",
    "robosoft4": "a robot",
    "robosoft5": "a robot",
    "robosoft6": "a robot",
    "robosoft7": "a robot",
    "robosoft8": "a robot",
    "shelby": "second formant 40 % up, first 10 % down: no throat has them",
    "travis": "first formant at half its place",
    "whisper": "whispers",
    "whisperf": "whispers",
}
"""Variants of espeak-ng that are not used unless named in params, and why."""

_SAME_SPEAKER = {
    "Gene2": "Gene",
    "Henrique": "Diogo",
    "Hugo": "Diogo",
    "edward2": "edward",
    "iven2": "iven",
    "iven3": "iven",
    "iven4": "iven",
    "michel": "Diogo",
    "miguel": "Diogo",
    "robert": "rob",
    "steph2": "steph",
    "steph3": "steph",
}

Percent = Annotated[int, Field(ge=0, le=99)]


class EspeakConfig(EngineConfig):
    """How espeak-ng speaks.

    The default rate is the pace of people saying a wake phrase, not espeak-ng's usual 175 words a minute. Active
    durations in seconds, over all default accents and speakers:

                        5 %     median  95 %        people, range and median
        snowboy         0.51    0.67    0.97        0.56 to 1.05, 0.70
        smart mirror    0.62    0.85    1.18        0.62 to 1.18, 0.84

    Attributes:
        share, running_share: see `EngineConfig`.
        rate_wpm: lowest and highest nominal words a minute.
        pitch: lowest and highest; 50 is the speaker's own.
        pitch_range: lowest and highest; 0 is monotone, 50 the speaker's own.
        voices: accents such as "en-us"; null for every accent of the language.
        variants: speakers such as "f3"; null for every one that sounds human.
    """

    share: Share = 1.0
    rate_wpm: list[Annotated[int, Field(ge=80, le=450)]] = Field([95, 170], min_length=2, max_length=2)
    pitch: list[Percent] = Field([25, 75], min_length=2, max_length=2)
    pitch_range: list[Percent] = Field([20, 90], min_length=2, max_length=2)
    voices: list[str] | None = Field(None, min_length=1)
    variants: list[str] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for name in ("rate_wpm", "pitch", "pitch_range"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low}, {high}]; put the lower value first")
        return self


@dataclass(frozen=True, slots=True)
class Espeak:
    """A throat speaking with an accent; the attributes are those of `espeak_library.synthesize`."""

    voice: str
    variant: str
    rate_wpm: int
    pitch: int
    pitch_range: int

    engine = ENGINE
    licence = LICENCE

    @property
    def name(self) -> str:
        return f"{self.voice}+{self.variant}"

    @property
    def group(self) -> str:
        return speaker(self.variant)

    @property
    def description(self) -> str:
        who = self.name if self.variant else self.voice
        return f"{ENGINE} {who} rate={self.rate_wpm} pitch={self.pitch} range={self.pitch_range}"

    @property
    def pace(self) -> float:
        return USUAL_WPM / self.rate_wpm

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "voice": self.voice,
            "variant": self.variant,
            "rate_wpm": self.rate_wpm,
            "pitch": self.pitch,
            "pitch_range": self.pitch_range,
            "volume": VOLUME,
        }

    def say(self, text: str, language: str) -> Said:
        """Say a text in the voice's own language, whichever `language` is; see `Speaker.say`."""
        # Breath and the Klatt voices draw noise; another utterance should not breathe the same.
        seed = zlib.crc32(f"{self.description}: {text!r}".encode()) & 0x7FFFFFFF
        how = self.rate_wpm, self.pitch, self.pitch_range
        samples, rate, count, version = synthesize(text, self.voice, self.variant, *how, seed)
        return Said(samples, rate, count, f"{ENGINE} {version}")


def cast(config: EspeakConfig, language: str, root: Path) -> Cast:
    """Return the speakers, each of whom draws an accent and a manner for every utterance; nothing in `root` is read.

    Raises:
        UserError: espeak-ng does not know the language, or there is no such voice or variant.
    """
    known = accents(config, language)
    human = [name for name in variants() if name not in NOT_HUMAN]
    for name in config.variants or []:
        if name not in variants():
            raise UserError(f"params.yaml: '{KEY}.espeak.variants' names '{name}'; there are {', '.join(human)}")

    def draw(variant: str, rng: np.random.Generator) -> Espeak:
        return Espeak(
            voice=known[int(rng.integers(len(known)))],
            variant=variant,
            rate_wpm=_between(config.rate_wpm, rng),
            pitch=_between(config.pitch, rng),
            pitch_range=_between(config.pitch_range, rng),
        )

    return Cast(config.variants or human, draw)


def accents(config: EspeakConfig | None, language: str) -> list[str]:
    """Return the accents that are spoken, or, without a config, all of the language, the usual one first.

    Raises:
        UserError: espeak-ng does not know the language, or there is no such accent.
    """
    known = voices_of(language)
    if not known:
        some = ", ".join(sorted({code.split("-")[0] for code in voices()}))
        raise UserError(f"params.yaml: 'language' is '{language}', which espeak-ng does not know; it knows {some}")
    named = config.voices if config else None
    for name in named or []:
        if name not in voices():
            raise UserError(
                f"params.yaml: '{KEY}.espeak.voices' names '{name}'; for '{language}' there are {', '.join(known)}"
            )
    return named or known


def speaker(variant: str) -> str:
    """Return the group of a variant: the same throat whatever it says in whatever accent.

    Variants that are one persona with another loudness of the voice, such as "steph2", are that persona.
    """
    return f"{ENGINE}:{_SAME_SPEAKER.get(variant, variant) or 'default'}"


def _between(bounds: list[int], rng: np.random.Generator) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))
