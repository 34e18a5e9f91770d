"""Assembling clips into long continuous recordings: first a plan, which is a value, then its sound and features.

Training and judging hear the same kind of audio, keywords amid other sound, never clips padded with silence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from wakeword.base.errors import UserError
from wakeword.corpus.manifest import SAMPLE_RATE, Clip
from wakeword.corpus.shards import Corpus
from wakeword.corpus.splits import judged_by
from wakeword.features.frontend import HOP, FrontendConfig, log_mel
from wakeword.features.store import Segment, Stream
from wakeword.streams.config import AugmentConfig, Condition, Mix, StreamsConfig
from wakeword.streams.device import TRUE_DEVICE, Device, draw_device, recorded
from wakeword.streams.noise import MADE_UP, MadeUp, generated, rms
from wakeword.streams.rooms import Box, box_rir, draw_box, from_direct, reverberate, simulated_rir

_TRAIN_STREAM_S = 60.0
_JUDGED_STREAM_S = 600.0
_GRAIN = 2 * HOP  # streams are whole numbers of scores long
_AFTER_KEYWORD_S = 0.8  # audio that must follow a keyword, so that a late detection still lies in the stream
_FADE_S = 0.005
_BABBLE_CLIPS = 24


@dataclass(frozen=True, slots=True)
class Placement:
    """A clip that begins `at` samples of true time into the stream, scaled to `level_dbfs` while somebody speaks.

    It is softer if it would clip at that level.
    """

    clip: Clip
    at: int
    level_dbfs: float


@dataclass(frozen=True, slots=True)
class Room:
    """A measured impulse response, a box, or reverberation time and direct-to-reverberant ratio of a made-up one."""

    measured: Clip | None
    t60_s: float
    direct_db: float
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Background:
    """Sound under the clips: recordings end to end, or, if there are none, what is `made_up`, of `voices` if babble."""

    recordings: tuple[Clip, ...]
    voices: tuple[Clip, ...]
    level_dbfs: float
    made_up: MadeUp = "noise"


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """All that decides the samples of one stream."""

    name: str
    condition: str
    samples: int
    placements: tuple[Placement, ...]
    room: Room | None
    background: Background | None
    tilt_db: float
    seed: tuple[int, ...]
    device: Device = TRUE_DEVICE


class _Deck:
    """Deals clips forever: each stratum in shuffled passes, strata in proportion to the root of their total length.

    The root keeps a source of many hours from drowning one of few minutes.
    """

    def __init__(self, clips: Sequence[Clip], rng: np.random.Generator) -> None:
        strata: dict[tuple[bool, str, str], list[Clip]] = {}
        for clip in clips:
            strata.setdefault((clip.synthetic, clip.origin.source, clip.origin.kind), []).append(clip)
        self._strata = [strata[key] for key in sorted(strata)]
        weights = np.sqrt([sum(clip.seconds for clip in stratum) for stratum in self._strata])
        self._weights = weights / weights.sum() if len(weights) else weights
        self._waiting: list[list[Clip]] = [[] for _ in self._strata]
        self._rng = rng

    def __len__(self) -> int:
        return len(self._strata)

    def deal(self) -> Clip:
        index = int(self._rng.choice(len(self._strata), p=self._weights))
        if not self._waiting[index]:
            stratum = self._strata[index]
            self._waiting[index] = [stratum[position] for position in self._rng.permutation(len(stratum))]
        return self._waiting[index].pop()


class _Mixer:
    """Deals from several decks, one a label, in set shares; labels without a clip are left out."""

    def __init__(self, clips: Sequence[Clip], mix: Mix, rng: np.random.Generator) -> None:
        decks = [
            (_Deck([clip for clip in clips if clip.origin.label == label], rng), share)
            for label, share in mix.model_dump().items()
        ]
        self._decks = [(deck, share) for deck, share in decks if len(deck) and share > 0]
        if not self._decks:
            raise UserError(
                "no clip to fill the streams with between the wake phrases; add negative recordings "
                "or raise ingest.synthesis.negatives"
            )
        shares = np.array([share for _, share in self._decks])
        self._shares = shares / shares.sum()
        self._rng = rng

    def deal(self) -> Clip:
        return self._decks[int(self._rng.choice(len(self._decks), p=self._shares))][0].deal()


def plan_training(config: StreamsConfig, clips: Sequence[Clip], seed: int) -> list[StreamPlan]:
    """Plan the training streams: clips of all labels, each stream with acoustics of its own.

    Args:
        config: lengths, shares, ranges.
        clips: the training split, every label.
        seed: decides everything else.
    """
    rng, late_rng = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 6])
    phrases = sorted({clip.origin.phrase for clip in clips if clip.origin.phrase is not None})
    keyword_decks = [
        [_Deck(stratum, rng) for synthetic in (False, True) if (stratum := _of_phrase(clips, phrase, synthetic))]
        for phrase in phrases
    ]
    others = _Mixer(clips, config.train_mix, rng)
    plans = []
    for index in range(max(1, round(config.train_hours * 3600 / _TRAIN_STREAM_S))):
        samples = _whole(_TRAIN_STREAM_S)
        level = rng.uniform(*config.augment.level_dbfs)
        placements: list[Placement] = []
        at = _gap(config, rng)
        while at < samples:
            is_keyword = rng.random() < config.keyword_share
            if is_keyword:
                # Real and synthetic speakers of a phrase get equal time, however many there are of each.
                decks = keyword_decks[int(rng.integers(len(keyword_decks)))]
                clip = decks[int(rng.integers(len(decks)))].deal()
            else:
                clip = others.deal()
            if is_keyword and at + clip.samples + _AFTER_KEYWORD_S * SAMPLE_RATE > samples:
                break
            jitter = config.augment.level_jitter_db
            placements.append(Placement(clip, at, level + rng.uniform(-jitter, jitter)))
            at += clip.samples + _gap(config, rng)
        room = None
        if rng.random() < config.augment.reverb_probability:
            room = _draw_room(config.augment, clips, config.augment.simulated_share, rng)
            if room.measured is None and late_rng.random() < config.augment.box_share:
                room = replace(room, box=draw_box(room.t60_s, late_rng))
        background = None
        if rng.random() < config.augment.noise_probability:
            snr = rng.uniform(*config.augment.snr_db)
            background = _draw_background(clips, config.augment.generated_share, level - snr, rng)
        tilt = rng.uniform(-config.augment.tilt_db, config.augment.tilt_db)
        device = draw_device(config.augment, late_rng)
        name = f"train-{index:05d}"
        stream_seed = (seed, 1, index)
        plans.append(StreamPlan(name, "train", samples, tuple(placements), room, background, tilt, stream_seed, device))
    return plans


def plan_judged(config: StreamsConfig, split: str, clips: Sequence[Clip], seed: int) -> list[StreamPlan]:
    """Plan the dev or test streams: keywords at natural spacing amid other sound, under each condition in turn.

    Synthetic clips are left out where there are recordings (see `judged_by`).
    Every keyword that is used occurs once under each condition. Whether it is used, when there are more than
    `keywords_per_hour` allows, depends on its content hash alone.

    Args:
        config: lengths, shares, conditions.
        split: "dev" or "test".
        clips: that split, every label.
        seed: decides everything else.
    """
    clips = judged_by(clips)
    hours = config.dev_hours if split == "dev" else config.test_hours
    seconds = hours * 3600 / len(config.conditions)
    count = max(1, round(seconds / _JUDGED_STREAM_S))
    samples = _whole(seconds / count)
    keywords = _most_keywords(clips, int(config.keywords_per_hour * seconds / 3600))
    plans = []
    for number, condition in enumerate(config.conditions):
        rng = np.random.default_rng([seed, {"dev": 2, "test": 3}[split], number])
        others = _Mixer(clips, config.judged_mix, rng)
        shuffled = [keywords[position] for position in rng.permutation(len(keywords))]
        for index in range(count):
            level = rng.uniform(*config.level_dbfs)
            placements = _lay(shuffled[index::count], others, samples, level, config, rng)
            name = f"{split}-{condition.name}-{index:03d}"
            stream_seed = (seed, {"dev": 4, "test": 5}[split], number, index)
            plans.append(_judged_plan(name, condition, config, clips, samples, placements, level, stream_seed, rng))
    return plans


def _judged_plan(
    name: str,
    condition: Condition,
    config: StreamsConfig,
    clips: Sequence[Clip],
    samples: int,
    placements: list[Placement],
    level: float,
    seed: tuple[int, ...],
    rng: np.random.Generator,
) -> StreamPlan:
    room = _draw_room(config.augment, clips, 0.0, rng) if condition.reverb else None
    background = None
    if condition.snr_db is not None:
        background = _draw_background(clips, 0.0, level - condition.snr_db, rng)
    return StreamPlan(name, condition.name, samples, tuple(placements), room, background, 0.0, seed)


def _lay(
    keywords: list[Clip],
    others: _Mixer,
    samples: int,
    level: float,
    config: StreamsConfig,
    rng: np.random.Generator,
) -> list[Placement]:
    """Spread the keywords over the stream, one at a random point of each equal share of it, and fill the rest.

    Between two keywords lies another clip, or where there is no more room, time enough for a late detection.
    """
    after = int(_AFTER_KEYWORD_S * SAMPLE_RATE)
    longest_gap = int(config.gap_s[1] * SAMPLE_RATE)
    share = samples / max(1, len(keywords))
    due = [(index + rng.random()) * share for index in range(len(keywords))]
    needed = [clip.samples + longest_gap + after for clip in keywords]
    if sum(needed) > samples:
        raise UserError(
            f"{len(keywords)} keywords do not fit into {samples / SAMPLE_RATE:.0f} s of stream; "
            "lower streams.keywords_per_hour"
        )
    placements: list[Placement] = []
    at, placed = _gap(config, rng), 0
    while at < samples:
        left = sum(needed[placed:])
        clip = others.deal()
        after_keyword = bool(placements) and placements[-1].clip.origin.label == "positive"
        last_chance = at + clip.samples + longest_gap + left > samples
        if placed < len(keywords) and (last_chance or (at >= due[placed] and not after_keyword)):
            clip = keywords[placed]
            placed += 1
            at += after if after_keyword else 0
        placements.append(Placement(clip, at, level + rng.uniform(-3.0, 3.0)))
        at += clip.samples + _gap(config, rng)
    return placements


def _most_keywords(clips: Sequence[Clip], limit: int) -> list[Clip]:
    """Return up to `limit` keywords, the phrases taking turns, in the order of their content hashes."""
    by_phrase: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.id):
        if clip.origin.phrase is not None:
            by_phrase.setdefault(clip.origin.phrase, []).append(clip)
    share = max(1, limit // max(1, len(by_phrase)))
    return [clip for phrase in sorted(by_phrase) for clip in by_phrase[phrase][:share]]


def _of_phrase(clips: Sequence[Clip], phrase: str, synthetic: bool) -> list[Clip]:
    return [clip for clip in clips if clip.origin.phrase == phrase and clip.synthetic == synthetic]


def _whole(seconds: float) -> int:
    return max(1, round(seconds * SAMPLE_RATE / _GRAIN)) * _GRAIN


def _gap(config: StreamsConfig, rng: np.random.Generator) -> int:
    return int(rng.uniform(*config.gap_s) * SAMPLE_RATE)


def _draw_room(augment: AugmentConfig, clips: Sequence[Clip], simulated_share: float, rng: np.random.Generator) -> Room:
    measured = [clip for clip in clips if clip.origin.label == "rir"]
    use_measured = bool(measured) and rng.random() >= simulated_share
    chosen = measured[int(rng.integers(len(measured)))] if use_measured else None
    return Room(chosen, rng.uniform(*augment.t60_s), rng.uniform(0.0, 15.0))


def _draw_background(
    clips: Sequence[Clip], generated_share: float, level_dbfs: float, rng: np.random.Generator
) -> Background:
    noises = [clip for clip in clips if clip.origin.label == "noise"]
    voices = [clip for clip in clips if clip.origin.label == "negative"]
    if noises and rng.random() >= generated_share:
        chosen = rng.choice(len(noises), size=min(8, len(noises)), replace=False)
        return Background(tuple(noises[index] for index in chosen), (), level_dbfs)
    kind = MADE_UP[int(rng.integers(len(MADE_UP)))]
    if kind != "babble" or not voices:
        return Background((), (), level_dbfs, "noise" if kind == "babble" else kind)
    talking = rng.choice(len(voices), size=min(_BABBLE_CLIPS, len(voices)), replace=False)
    return Background((), tuple(voices[index] for index in talking), level_dbfs, kind)


def render(plan: StreamPlan, corpus: Corpus) -> np.ndarray:
    """Return the sound of a stream, `(samples,)` int16 at 16 kHz."""
    rng = np.random.default_rng(list(plan.seed))
    samples = round(plan.samples * (1.0 + plan.device.skew))  # of true time, which the device's clock may stretch
    mixed = np.zeros(samples, dtype=np.float32)
    for placement in plan.placements:
        sound = _faded(_unclipped(_decibels(placement.level_dbfs) * _at_unit_level(corpus, placement.clip)))
        heard = mixed[placement.at : placement.at + len(sound)]
        heard += sound[: len(heard)]
    if plan.room is not None:
        mixed = reverberate(mixed, _rir(plan.room, corpus, rng))[:samples]
    if plan.background is not None:
        mixed += _decibels(plan.background.level_dbfs) * _background(plan.background, samples, corpus, rng)
    if plan.tilt_db:
        mixed = _tilt(mixed, plan.tilt_db)
    mixed = recorded(_unclipped(mixed), plan.device, plan.samples)
    return np.round(np.clip(mixed, -1.0, 1.0) * 32767).astype(np.int16)


def _rir(room: Room, corpus: Corpus, rng: np.random.Generator) -> np.ndarray:
    if room.measured is not None:
        return from_direct(_floats(corpus.audio(room.measured)))
    return box_rir(room.box) if room.box is not None else simulated_rir(room.t60_s, room.direct_db, rng)


def describe(plan: StreamPlan, phrases: Sequence[str]) -> Stream:
    """Return the index entry of a stream: when each clip speaks. Parts that the stream's end cuts off do not count."""
    segments = []
    rate = SAMPLE_RATE * (1.0 + plan.device.skew)  # samples of true time in a second of the stream
    for placement in plan.placements:
        clip, origin = placement.clip, placement.clip.origin
        start = (placement.at + clip.active_start) / rate
        whole_end = (placement.at + clip.active_end) / rate
        end = min(whole_end, plan.samples / SAMPLE_RATE)
        if start < end:
            segments.append(
                Segment(
                    start,
                    end,
                    label=origin.label,
                    kind=origin.kind,
                    group=origin.group,
                    clip=clip.id,
                    phrase=phrases.index(origin.phrase) if origin.phrase is not None else None,
                    synthetic=clip.synthetic,
                    phonemes=origin.phonemes if end == whole_end else None,
                )
            )
    return Stream(plan.name, plan.condition, 0, plan.samples // HOP, segments)


@dataclass(frozen=True, slots=True)
class RenderTask:
    """What a worker needs to make one stream."""

    plan: StreamPlan
    corpus: Path
    frontend: FrontendConfig
    phrases: tuple[str, ...]


def render_features(task: RenderTask) -> tuple[Stream, np.ndarray, np.ndarray]:
    """Make one stream: its description, its features `(frames, mels)` float32, its sound `(samples,)` int16."""
    pcm = render(task.plan, _open_once(task.corpus))
    return describe(task.plan, task.phrases), log_mel(pcm, task.frontend), pcm


def tasks(
    plans: Sequence[StreamPlan], corpus: Path, frontend: FrontendConfig, phrases: Sequence[str]
) -> Iterator[RenderTask]:
    for plan in plans:
        yield RenderTask(plan, corpus, frontend, tuple(phrases))


@lru_cache(maxsize=1)
def _open_once(folder: Path) -> Corpus:
    return Corpus.open(folder)


def _decibels(level: float) -> np.float32:
    return np.float32(10.0 ** (level / 20.0))


def _floats(pcm: np.ndarray) -> np.ndarray:
    return pcm.astype(np.float32) / np.float32(32768.0)


def _at_unit_level(corpus: Corpus, clip: Clip) -> np.ndarray:
    """Return a clip scaled to RMS 1 while somebody speaks; near-silence is not blown up beyond 60 dB."""
    sound = _floats(corpus.audio(clip))
    return sound / np.float32(max(rms(sound[clip.active_start : clip.active_end]), 1e-3))


def _unclipped(sound: np.ndarray) -> np.ndarray:
    """Turn sound down as far as its peaks would leave full scale: a clap at the level of speech would be distorted."""
    return sound / np.float32(max(1.0, float(np.abs(sound).max(initial=0.0))))


def _faded(sound: np.ndarray) -> np.ndarray:
    """Soften the first and last milliseconds, so that no click tells where a clip begins."""
    length = min(int(_FADE_S * SAMPLE_RATE), len(sound) // 2)
    if length:
        ramp = np.linspace(0.0, 1.0, length, dtype=np.float32)
        sound[:length] *= ramp
        sound[-length:] *= ramp[::-1]
    return sound


def _background(background: Background, samples: int, corpus: Corpus, rng: np.random.Generator) -> np.ndarray:
    """Return `(samples,)` float32 of RMS 1."""
    if not background.recordings:
        voices = [_floats(corpus.audio(clip)) for clip in background.voices]
        return generated(background.made_up, samples, voices, rng)
    pieces = []
    for clip in background.recordings:
        sound = _floats(corpus.audio(clip))
        sound = np.roll(sound, int(rng.integers(len(sound))))
        pieces.append(_faded(sound / np.float32(max(rms(sound), 1e-4))))
    track: np.ndarray = np.resize(np.concatenate(pieces), samples)
    track /= np.float32(max(rms(track), 1e-4))
    return track


def _tilt(sound: np.ndarray, decibels: float) -> np.ndarray:
    """Tilt the spectrum: gain at 8 kHz over gain at 0 Hz is `decibels`; white noise keeps its level."""
    ratio = 10.0 ** (decibels / 20.0)
    tap = (1.0 - ratio) / (1.0 + ratio)
    taps = np.array([1.0, tap]) / np.sqrt(1.0 + tap**2)
    tilted: np.ndarray = lfilter(taps, [1.0], sound)
    return tilted.astype(np.float32)
