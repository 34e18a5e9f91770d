"""The `streams` section of `params.yaml`: how clips become long continuous recordings, for training and for judging."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from wakeword.base.params import Section


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"[{pair[0]}, {pair[1]}] is upside down; write the lower end first")
    return pair


# YAML has lists where Python has tuples, hence not strict.
Range = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_ascending)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]

MP3_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""Rates that an MP3 at 16 kHz may have."""


def _a_rate_of_mp3(pair: tuple[float, float]) -> tuple[float, float]:
    if not any(pair[0] <= rate <= pair[1] for rate in MP3_KBPS):
        raise ValueError(f"[{pair[0]}, {pair[1]}] holds no rate of MP3; they are {', '.join(map(str, MP3_KBPS))}")
    return pair


def _audible(pair: tuple[float, float]) -> tuple[float, float]:
    if not (pair[0] > 0.0 and pair[1] < 8000.0):
        raise ValueError(f"[{pair[0]}, {pair[1]}] must lie between 0 and 8000 Hz, both excluded")
    return pair


def _positive(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] <= 0.0:
        raise ValueError(f"[{pair[0]}, {pair[1]}] must lie above 0")
    return pair


def _no_overlap(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] < 0.0:
        raise ValueError(f"[{pair[0]}, {pair[1]}] must not be negative: clips do not overlap")
    return pair


PositiveRange = Annotated[Range, AfterValidator(_positive)]
GapRange = Annotated[Range, AfterValidator(_no_overlap)]
Mp3Range = Annotated[Range, AfterValidator(_a_rate_of_mp3)]
FrequencyRange = Annotated[Range, AfterValidator(_audible)]


class AugmentConfig(Section):
    """What a training stream goes through, drawn anew for each stream.

    Attributes:
        level_dbfs: RMS of speech while somebody speaks.
        level_jitter_db: how much single clips deviate from their stream's level, either way.
        noise_probability: share of streams with background sound.
        generated_share: of the backgrounds, the share made up rather than recorded; all, where no noise was given.
        snr_db: speech level over background level.
        reverb_probability: share of streams in a room.
        simulated_share: of the rooms, the share simulated rather than measured; all, where no RIR was given.
        box_share: of the simulated rooms, the share that are boxes computed by image sources; the others are decaying
            noise.
        t60_s: reverberation time of simulated rooms.
        tilt_db: gain at 8 kHz against 0 Hz of the microphone's response, either way.
        band_probability: share of streams from a device that lets only a band through.
        band_low_hz, band_high_hz: where that band begins and ends; a telephone's is 300 to 3400.
        codec_probability: share of streams that went through a codec.
        telephone_share: of those, the share of a telephone's, µ-law at 8 kHz; the others are MP3.
        mp3_kbps: rate of the MP3.
        skew_probability: share of streams from a device whose clock is off.
        skew_ppm: by how many millionths at most, either way.
    """

    level_dbfs: Range = (-42.0, -16.0)
    level_jitter_db: float = Field(4.0, ge=0.0, le=20.0)
    noise_probability: Probability = 0.85
    generated_share: Probability = 0.4
    snr_db: Range = (0.0, 25.0)
    reverb_probability: Probability = 0.6
    simulated_share: Probability = 0.5
    box_share: Probability = 0.5
    t60_s: PositiveRange = (0.1, 1.2)
    tilt_db: float = Field(8.0, ge=0.0, le=30.0)
    band_probability: Probability = 0.2
    band_low_hz: FrequencyRange = (50.0, 400.0)
    band_high_hz: FrequencyRange = (3000.0, 7500.0)
    codec_probability: Probability = 0.15
    telephone_share: Probability = 0.5
    mp3_kbps: Mp3Range = (16.0, 64.0)
    skew_probability: Probability = 0.3
    skew_ppm: float = Field(1000.0, ge=0.0, le=10_000.0)

    @model_validator(mode="after")
    def _band_has_width(self) -> Self:
        if self.band_low_hz[1] >= self.band_high_hz[0]:
            raise ValueError("band_low_hz reaches above band_high_hz; leave room between them")
        return self


class Condition(Section):
    """One acoustic condition of the dev and test streams.

    Attributes:
        name: appears in metrics and plots.
        snr_db: speech level over background level; none means that nothing is added.
        reverb: whether speech is put in a room.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    snr_db: float | None = Field(None, ge=-20.0, le=60.0)
    reverb: bool = False


def _distinct(conditions: list[Condition]) -> list[Condition]:
    names = [condition.name for condition in conditions]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two conditions are named '{name}'; give each its own name")
    return conditions


class Mix(Section):
    """Shares of what fills a stream between the wake phrases, counted in clips; a label without clips is left out."""

    negative: Probability
    hard_negative: Probability
    noise: Probability


class StreamsConfig(Section):
    """Lengths and make-up of the streams.

    Attributes:
        train_hours, dev_hours, test_hours: length of all streams of a split together.
        keyword_share: of the clips in training streams, the share that are wake phrases.
        train_mix, judged_mix: what lies between the wake phrases, in training streams and in dev and test streams. The
            latter are to be what a device hears in a day: words made up to sound like the phrase would choose the
            threshold there, and have figures of their own (`clips_fired`).
        keywords_per_hour: most keywords in an hour of dev or test stream.
        gap_s: silence between clips (background goes on).
        level_dbfs: RMS of speech in dev and test streams.
        conditions: dev and test are shared out equally among these; each keyword occurs once in each.
        augment: what training streams go through.
    """

    train_hours: float = Field(16.0, gt=0.0, le=1000.0)
    dev_hours: float = Field(2.2, gt=0.0, le=1000.0)
    test_hours: float = Field(2.2, gt=0.0, le=1000.0)
    keyword_share: float = Field(0.3, gt=0.0, lt=1.0)
    train_mix: Mix = Mix(negative=0.6, hard_negative=0.3, noise=0.1)
    judged_mix: Mix = Mix(negative=0.85, hard_negative=0.0, noise=0.15)
    keywords_per_hour: float = Field(120.0, gt=0.0, le=600.0)
    gap_s: GapRange = (0.1, 2.5)
    level_dbfs: Range = (-32.0, -20.0)
    conditions: Annotated[list[Condition], Field(min_length=1), AfterValidator(_distinct)] = [
        Condition(name="clean"),
        Condition(name="snr_10", snr_db=10.0),
        Condition(name="room", snr_db=20.0, reverb=True),
    ]
    augment: AugmentConfig = AugmentConfig()
