"""Streams: what is annotated is what is heard, keywords are complete, and the same seed gives the same bytes."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.signal import welch

from tests.corpus.clips import clip, synthetic
from wakeword import workers
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Clip, Label, Origin, Recording
from wakeword.corpus.shards import Corpus, ShardWriter
from wakeword.features.frontend import FrontendConfig, log_mel
from wakeword.features.store import StreamSet, write
from wakeword.streams.assembly import (
    Background,
    Placement,
    Room,
    StreamPlan,
    describe,
    plan_judged,
    plan_training,
    render,
    render_features,
    tasks,
)
from wakeword.streams.config import AugmentConfig, Condition, StreamsConfig
from wakeword.streams.device import Device
from wakeword.streams.noise import MADE_UP, rms
from wakeword.streams.rooms import Box, box_rir

RATE = 16_000
FRONTEND = FrontendConfig()
CONFIG = StreamsConfig(train_hours=0.1, dev_hours=0.1, test_hours=0.1)
MANY = StreamsConfig(train_hours=1.0)


def recording(
    label: Label, number: int, seconds: float, phrase: str | None = None, synthetic: bool = False
) -> Recording:
    rng = np.random.default_rng(number)
    pcm = (rng.standard_normal(int(seconds * RATE)) * 2000).astype(np.int16)
    kind = "phrase" if phrase else label
    details: dict[str, str | int | float] | None = {"engine": "test"} if synthetic else None
    origin = Origin(label, phrase, None, kind, f"g{number}", True, "test", "CC0", "en", f"{number}.wav", details)
    return Recording(origin, pcm, RATE, (int(0.1 * len(pcm)), int(0.9 * len(pcm))))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    with ShardWriter(folder) as writer:
        for number in range(8):
            writer.add(recording("positive", number, 1.0, "hey", synthetic=number % 2 == 0))
        for number in range(8, 20):
            writer.add(recording("negative", number, 2.0))
        writer.add(recording("noise", 30, 5.0))
        impulse = recording("rir", 31, 0.2)
        impulse.pcm[:] = 0
        impulse.pcm[[5, 1000]] = (30_000, 10_000)
        writer.add(impulse)
    return Corpus.open(folder)


def clip_of(corpus: Corpus, label: str) -> Clip:
    return next(clip for clip in corpus.clips if clip.origin.label == label)


def test_a_placed_clip_is_heard_where_the_index_says_and_nowhere_else(corpus: Corpus) -> None:
    keyword = clip_of(corpus, "positive")
    plan = StreamPlan("s", "clean", 5 * RATE, (Placement(keyword, 2 * RATE, -20.0),), None, None, 0.0, (1,))
    sound = render(plan, corpus)
    stream = describe(plan, ["hey"])
    assert not sound[: 2 * RATE].any() and not sound[3 * RATE :].any()
    segment = stream.segments[0]
    assert (segment.start_s, segment.end_s, segment.phrase) == pytest.approx((2.1, 2.9, 0))
    spoken = sound[int(segment.start_s * RATE) : int(segment.end_s * RATE)] / 32768
    assert 20 * np.log10(rms(spoken)) == pytest.approx(-20.0, abs=0.1)


@pytest.mark.parametrize("skew", [0.01, -0.01])
def test_annotations_follow_a_clock_that_is_off(corpus: Corpus, skew: float) -> None:
    keyword = clip_of(corpus, "positive")
    placed = (Placement(keyword, 2 * RATE, -20.0), Placement(keyword, 50 * RATE, -20.0))
    plan = StreamPlan("s", "train", 60 * RATE, placed, None, None, 0.0, (1,), Device(skew=skew))
    sound = render(plan, corpus)
    assert len(sound) == 60 * RATE
    assert [segment.start_s for segment in describe(plan, ["hey"]).segments] == pytest.approx(
        [2.1 / (1 + skew), 50.1 / (1 + skew)]
    )
    # The clips are loud from their first to their last sample, with silence around.
    loud = np.flatnonzero(np.abs(sound.astype(int)) > 300) / RATE
    assert loud.min() == pytest.approx(2.0 / (1 + skew), abs=0.01)
    assert loud.max() == pytest.approx(51.0 / (1 + skew), abs=0.01)


def test_a_keyword_stays_whole_in_a_stream_whose_clock_is_off(corpus: Corpus) -> None:
    augment = AugmentConfig(skew_probability=1.0, skew_ppm=10_000.0)
    plans = plan_training(CONFIG.model_copy(update={"augment": augment}), corpus.clips, seed=5)
    for plan in plans:
        for segment in describe(plan, ["hey"]).segments:
            if segment.phrase == 0:
                assert segment.end_s < plan.samples / RATE - 0.1


def test_new_effects_leave_alone_what_was_drawn_before_them(corpus: Corpus) -> None:
    off = AugmentConfig(box_share=0.0, band_probability=0.0, codec_probability=0.0, skew_probability=0.0)
    plain = plan_training(CONFIG.model_copy(update={"augment": off}), corpus.clips, seed=5)
    full = plan_training(CONFIG, corpus.clips, seed=5)
    assert {plan.device for plan in plain} == {Device()} and len({plan.device for plan in full}) > 1
    assert [replace(plan, device=Device(), room=None) for plan in full] == [replace(p, room=None) for p in plain]


def test_judged_streams_come_from_a_true_device(corpus: Corpus) -> None:
    for split in ("dev", "test"):
        for plan in plan_judged(CONFIG, split, corpus.clips, seed=5):
            assert plan.device == Device() and (plan.room is None or plan.room.box is None)


def test_background_lies_at_the_asked_for_level(corpus: Corpus) -> None:
    for background in (
        Background((clip_of(corpus, "noise"),), (), -40.0),
        *(Background((), (clip_of(corpus, "negative"),), -40.0, kind) for kind in MADE_UP),
    ):
        plan = StreamPlan("s", "x", 20 * RATE, (), None, background, 0.0, (3,))
        assert 20 * np.log10(rms(render(plan, corpus) / 32768)) == pytest.approx(-40.0, abs=0.5)


def test_judged_streams_hold_every_keyword_once_a_condition_whole_and_apart(corpus: Corpus) -> None:
    plans = plan_judged(CONFIG, "dev", corpus.clips, seed=5)
    keywords = [clip.id for clip in corpus.clips if clip.origin.phrase]
    for condition in CONFIG.conditions:
        streams = [describe(plan, ["hey"]) for plan in plans if plan.condition == condition.name]
        heard = [segment for stream in streams for segment in stream.segments if segment.phrase == 0]
        allowed = int(CONFIG.keywords_per_hour * CONFIG.dev_hours / 3)
        assert sorted(segment.clip for segment in heard) == sorted(sorted(keywords)[:allowed])
        for stream in streams:
            for segment in stream.segments:
                if segment.phrase == 0:
                    assert segment.end_s + 0.5 < stream.seconds
                    others = [s for s in stream.segments if s is not segment]
                    assert all(s.end_s < segment.start_s or s.start_s > segment.end_s for s in others)


def test_training_streams_are_as_long_as_asked_and_mix_real_and_synthetic(corpus: Corpus) -> None:
    plans = plan_training(CONFIG, corpus.clips, seed=5)
    assert sum(plan.samples for plan in plans) == pytest.approx(CONFIG.train_hours * 3600 * RATE)
    segments = [segment for plan in plans for segment in describe(plan, ["hey"]).segments]
    keywords = [segment for segment in segments if segment.phrase == 0]
    assert 0.15 < len(keywords) / len(segments) < 0.45
    assert 0.3 < np.mean([segment.synthetic for segment in keywords]) < 0.7


def test_the_same_seed_gives_the_same_bytes_for_one_and_two_workers(corpus: Corpus, tmp_path: Path) -> None:
    augment = AugmentConfig(
        reverb_probability=1.0, box_share=1.0, band_probability=1.0, codec_probability=1.0, skew_probability=1.0
    )
    plans = plan_training(CONFIG.model_copy(update={"augment": augment}), corpus.clips, seed=5)[:4]
    assert {plan.room.box is None for plan in plans if plan.room} == {True, False}
    assert {plan.device.codec_kbps == 0 for plan in plans} == {True, False}
    written = []
    for count in (1, 2):
        results = workers.ordered_map(render_features, tasks(plans, corpus.folder, FRONTEND, ["hey"]), count)
        folder = tmp_path / str(count)
        folder.mkdir()
        write(folder, "train", results, FRONTEND.fingerprint, FRONTEND.mels, np.inf)  # type: ignore[arg-type]
        written.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert len(written[0]) == 3 and written[0] == written[1]


def test_the_store_gives_back_each_streams_own_rows(corpus: Corpus, tmp_path: Path) -> None:
    plans = plan_judged(CONFIG, "test", corpus.clips, seed=1)[:3]
    rendered = [render_features(task) for task in tasks(plans, corpus.folder, FRONTEND, ["hey"])]
    write(tmp_path, "test", rendered, FRONTEND.fingerprint, FRONTEND.mels, audio_s=rendered[0][0].seconds)
    stored = StreamSet.open(tmp_path, "test")
    for stream, (_, features, pcm) in zip(stored.streams, rendered, strict=True):
        assert np.allclose(stored.features(stream), features, atol=0.01)
        assert np.allclose(features, log_mel(pcm, FRONTEND))
    assert np.array_equal(stored.audio(stored.streams[0]), rendered[0][2])
    with pytest.raises(ValueError, match="was not kept"):
        stored.audio(stored.streams[1])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dev\.json is missing"):
        StreamSet.open(tmp_path, "dev")


def test_reverberation_keeps_the_direct_sound_in_its_place(corpus: Corpus) -> None:
    config = StreamsConfig(dev_hours=0.02, conditions=[Condition(name="room", reverb=True)])
    plan = plan_judged(config, "dev", corpus.clips, seed=2)[0]
    dry = render(StreamPlan(plan.name, "dry", plan.samples, plan.placements, None, None, 0.0, plan.seed), corpus)
    wet = render(plan, corpus).astype(float)
    delay = 995  # between the two pulses of the impulse response
    direct = dry.astype(float)
    expected = direct.copy()
    expected[delay:] += direct[:-delay] / 3
    expected *= np.linalg.norm(direct) / np.linalg.norm(expected)  # as loud as before
    assert np.abs(wet - expected).max() < 3


def test_a_far_talker_is_as_loud_as_a_near_one_and_does_not_clip(corpus: Corpus) -> None:
    """In a hard room, whose reflections together are 10 dB above the direct sound."""
    placed = tuple(Placement(keyword, at * 2 * RATE, -14.0) for at in range(4) for keyword in corpus.clips[:1])
    dry = StreamPlan("s", "train", 10 * RATE, placed, None, None, 0.0, (1,))
    box = Box((5.0, 4.0, 2.5), (0.5, 0.5, 1.2), (4.5, 3.5, 1.2), 0.15, 20)
    far = replace(dry, room=Room(None, 0.6, 0.0, box))
    rir = box_rir(box)
    assert np.sum(rir.astype(float) ** 2) > 10  # of which the direct sound has 1
    assert 20 * np.log10(rms(render(far, corpus)) / rms(render(dry, corpus))) == pytest.approx(0.0, abs=0.5)
    assert np.abs(render(far, corpus).astype(int)).max() < 32767


def test_what_would_clip_is_turned_down_and_nothing_else(corpus: Corpus) -> None:
    keyword = clip_of(corpus, "positive")
    placed = (Placement(keyword, 0, 0.0), Placement(keyword, 2 * RATE, -20.0))
    sound = render(StreamPlan("s", "train", 4 * RATE, placed, None, None, 0.0, (1,)), corpus).astype(float)
    loud, soft = sound[:RATE], sound[2 * RATE : 3 * RATE]
    assert np.abs(loud).max() == 32767 and (np.abs(loud) == 32767).sum() == 1
    assert 20 * np.log10(rms(soft[1600:14400]) / 32768) == pytest.approx(-20.0, abs=0.1)
    assert np.abs(loud / np.linalg.norm(loud) - soft / np.linalg.norm(soft)).max() < 1e-3


def test_backgrounds_are_made_of_the_split_alone(corpus: Corpus) -> None:
    """And every kind has its turn where there are no recordings."""
    clips = [clip for clip in corpus.clips if clip.origin.label != "noise"]
    mine = [clip for clip in clips if clip.origin.label != "negative" or int(clip.origin.group[1:]) < 14]
    backgrounds = [plan.background for plan in plan_training(MANY, mine, seed=5) if plan.background]
    assert {background.made_up for background in backgrounds} == set(MADE_UP)
    for background in backgrounds:
        assert not background.recordings
        assert {voice.id for voice in background.voices} <= {clip.id for clip in mine}
        assert bool(background.voices) == (background.made_up == "babble")
        assert all(voice.origin.label == "negative" for voice in background.voices)
    mute = [clip for clip in corpus.clips if clip.origin.label in ("positive", "noise")]
    plans = plan_training(MANY.model_copy(update={"augment": AugmentConfig(generated_share=1.0)}), mute, seed=5)
    assert {plan.background.made_up for plan in plans if plan.background} == set(MADE_UP) - {"babble"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"gap_s": [-0.5, 1.0]}, "clips do not overlap"),
        ({"augment": {"t60_s": [-0.1, 0.5]}}, "must lie above 0"),
        ({"augment": {"t60_s": [0.0, 0.5]}}, "must lie above 0"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(changed: dict[str, object], told: str) -> None:
    """A gap below 0 once put keywords before the stream, annotated and not heard."""
    with pytest.raises(ValidationError, match=told):
        StreamsConfig.model_validate(changed)


def test_a_corpus_without_other_sound_is_refused(corpus: Corpus) -> None:
    keywords = [clip for clip in corpus.clips if clip.origin.phrase]
    with pytest.raises(UserError, match="add negative recordings"):
        plan_training(CONFIG, keywords, seed=1)


PEOPLE = [clip(number, "positive") for number in range(25)]
MACHINES = [synthetic(clip(100 + number, "positive")) for number in range(200)]
OTHERS = [
    *(clip(400 + number) for number in range(50)),
    *(clip(500 + number, "hard_negative") for number in range(50)),
    *(clip(600 + number, "noise") for number in range(5)),
]


def decibels(amplitude: float) -> float:
    return float(20 * np.log10(amplitude))


def test_each_condition_sounds_as_it_says(corpus: Corpus) -> None:
    conditions = [
        Condition(name="clean"),
        Condition(name="snr_10", snr_db=10.0),
        Condition(name="room", snr_db=20.0, reverb=True),
    ]
    config = StreamsConfig(dev_hours=0.1, level_dbfs=(-30.0, -30.0), conditions=conditions)
    for plan, asked in zip(plan_judged(config, "dev", corpus.clips, seed=5), conditions, strict=True):
        assert plan.condition == asked.name and (plan.room is not None) == asked.reverb
        speech = render(replace(plan, background=None), corpus) / 32768
        noise = render(replace(plan, placements=()), corpus) / 32768
        if asked.snr_db is None:
            assert not noise.any()
            continue
        spoken = [speech[int(s.start_s * RATE) : int(s.end_s * RATE)] for s in describe(plan, ["hey"]).segments]
        assert decibels(rms(np.concatenate(spoken)) / rms(noise)) == pytest.approx(asked.snr_db, abs=1.0)


def test_noise_in_training_lies_as_far_below_speech_as_asked(corpus: Corpus) -> None:
    config = StreamsConfig(train_hours=0.2, augment=AugmentConfig(level_dbfs=(-30.0, -30.0), snr_db=(10.0, 10.0)))
    levels = {plan.background.level_dbfs for plan in plan_training(config, corpus.clips, seed=5) if plan.background}
    assert levels == {-40.0}


def test_a_clips_level_is_that_of_its_speech_not_of_the_silence_around_it(tmp_path: Path) -> None:
    padded = recording("positive", 1, 3.0, "hey")
    padded.pcm[:RATE] = padded.pcm[2 * RATE :] = 0
    with ShardWriter(tmp_path) as writer:
        placed = writer.add(replace(padded, active=(RATE, 2 * RATE)))
    plan = StreamPlan("s", "x", 3 * RATE, (Placement(placed, 0, -20.0),), None, None, 0.0, (1,))
    sound = render(plan, Corpus.open(tmp_path)) / 32768
    assert decibels(rms(sound[RATE : 2 * RATE])) == pytest.approx(-20.0, abs=0.1)


def test_people_judge_where_there_are_enough_of_them_and_words_like_the_phrase_do_not() -> None:
    plans = plan_judged(StreamsConfig(test_hours=0.3), "test", [*PEOPLE, *MACHINES, *OTHERS], seed=1)
    placed = [placement.clip for plan in plans for placement in plan.placements]
    assert any(one.origin.phrase for one in placed)
    assert not any(one.synthetic or one.origin.label == "hard_negative" for one in placed)


def test_shares_of_labels_people_and_sources_in_training() -> None:
    few = [replace(one, origin=replace(one.origin, source="small")) for one in (clip(700), clip(701))]
    plans = plan_training(StreamsConfig(train_hours=2.0), [*PEOPLE, *MACHINES, *OTHERS, *few], seed=1)
    placed = [placement.clip for plan in plans for placement in plan.placements]
    assert np.mean([one.synthetic for one in placed if one.origin.phrase]) == pytest.approx(0.5, abs=0.05)
    others = [one for one in placed if not one.origin.phrase]
    for label, share in (("negative", 0.6), ("hard_negative", 0.3), ("noise", 0.1)):
        assert np.mean([one.origin.label == label for one in others]) == pytest.approx(share, abs=0.05)
    small = np.mean([one.origin.source == "small" for one in others if one.origin.label == "negative"])
    assert small == pytest.approx(2**0.5 / (2**0.5 + 50**0.5), abs=0.04)  # by the root of their lengths


def test_a_keyword_leaves_the_detector_time_before_the_next() -> None:
    config = StreamsConfig(dev_hours=0.02, keywords_per_hour=600.0, gap_s=(0.1, 4.0), conditions=[Condition(name="x")])
    for seed in range(20):
        (plan,) = plan_judged(config, "dev", [*PEOPLE, *OTHERS], seed)
        assert sum(placement.clip.origin.phrase is not None for placement in plan.placements) == 12
        for one, other in pairwise(plan.placements):
            if one.clip.origin.phrase and other.clip.origin.phrase:
                assert other.at - (one.at + one.clip.samples) >= 0.8 * RATE


@pytest.mark.parametrize("tilt_db", [-8.0, 8.0])
def test_a_tilted_device_is_as_loud_and_as_steep_as_asked(corpus: Corpus, tilt_db: float) -> None:
    flat = StreamPlan("s", "x", 20 * RATE, (), None, Background((clip_of(corpus, "noise"),), (), -30.0), 0.0, (3,))
    before, after = (render(plan, corpus) / 32768 for plan in (flat, replace(flat, tilt_db=tilt_db)))
    assert decibels(rms(after) / rms(before)) == pytest.approx(0.0, abs=0.2)
    hertz, power = welch(before, RATE, nperseg=1024)
    gain = 10 * np.log10(welch(after, RATE, nperseg=1024)[1] / power)
    assert gain[hertz > 7800].mean() - gain[(hertz > 50) & (hertz < 200)].mean() == pytest.approx(tilt_db, abs=0.3)
