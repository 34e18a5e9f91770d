import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import RATE, tone, word
from wakeword.sources.activity import active_interval
from wakeword.sources.decode import read, to_int16

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real" / "keyword" / "picovoice_wwb" / "snowboy"


def laid(sound: np.ndarray, at: float, seconds: float, noise_db: float, seed: int) -> np.ndarray:
    """Return `seconds` of white noise at `noise_db` below full scale with `sound` in it, int16."""
    background = np.random.default_rng(seed).standard_normal(round(seconds * RATE)) * 10 ** (noise_db / 20)
    start = round(at * RATE)
    background[start : start + len(sound)] += sound
    return to_int16(background.astype(np.float32))


@pytest.mark.parametrize("noise_db", [-90.0, -60.0, -45.0, -35.0])
@pytest.mark.parametrize("at", [0.0, 0.7, 2.2])
def test_a_word_in_three_seconds_of_noise_is_found_where_it_is(noise_db: float, at: float) -> None:
    for seed in range(3):
        start, end = active_interval(laid(word(0.75, seed, amplitude=0.3), at, 3.0, noise_db, seed))
        assert start / RATE == pytest.approx(at, abs=0.05)
        assert end / RATE == pytest.approx(at + 0.75, abs=0.05)


def test_a_soft_start_counts_while_it_stands_out_of_the_noise() -> None:
    hiss = 0.03 * np.random.default_rng(0).standard_normal(round(0.15 * RATE))
    start, end = active_interval(laid(np.concatenate([hiss, word(0.55, 1)]), 1.0, 3.0, -70, 2))
    assert start / RATE == pytest.approx(1.0, abs=0.05)
    assert end / RATE == pytest.approx(1.7, abs=0.05)


def test_a_word_after_a_loud_hiss_counts() -> None:
    """As the rest of “smart mirror” does after an “s” close to the microphone."""
    hiss = np.diff(np.random.default_rng(0).standard_normal(round(0.1 * RATE) + 1), n=1)
    hum = 0.06 * np.sin(2 * np.pi * 220 * np.arange(round(0.6 * RATE)) / RATE)
    start, end = active_interval(laid(np.concatenate([0.3 * hiss / hiss.std(), hum]), 1.0, 3.0, -75, 2))
    assert start / RATE == pytest.approx(1.0, abs=0.05)
    assert end / RATE == pytest.approx(1.7, abs=0.05)


@pytest.mark.parametrize("click_ms", [1, 10, 29])
@pytest.mark.parametrize("click_at", [0.2, 2.6])
@pytest.mark.parametrize("loudness", [0.3, 0.9])
def test_a_click_far_from_the_word_does_not_stretch_it(click_ms: int, click_at: float, loudness: float) -> None:
    pcm = laid(word(0.7, 3, amplitude=0.3), 1.0, 3.0, -60, 4)
    for shift in (0, 50, 111):  # however it falls on the frames
        clicked = pcm.copy()
        start = round(click_at * RATE) + shift
        length = round(click_ms / 1000 * RATE)
        clicked[start : start + length] = 32767 * loudness * np.random.default_rng(5).uniform(-1, 1, length)
        start, end = active_interval(clicked)
        assert start / RATE == pytest.approx(1.0, abs=0.05)
        assert end / RATE == pytest.approx(1.7, abs=0.05)


def test_a_faint_door_after_the_word_is_left_out_and_a_second_word_is_not() -> None:
    door = 0.015 * word(0.1, 6) / 0.3
    pcm = laid(word(0.7, 6), 0.3, 3.0, -75, 7).astype(np.float64)
    with_door = pcm.copy()
    with_door[40_000 : 40_000 + len(door)] += 32768 * door
    assert active_interval(with_door.astype(np.int16))[1] / RATE == pytest.approx(1.0, abs=0.05)
    with_word = pcm.copy()
    with_word[28_000 : 28_000 + 11_200] += 32768 * word(0.7, 8)
    assert np.array(active_interval(with_word.astype(np.int16))) / RATE == pytest.approx([0.3, 2.45], abs=0.05)


def test_a_pause_and_the_burst_that_ends_a_word_belong_to_it() -> None:
    two = np.concatenate([word(0.55, 1), np.zeros(int(0.45 * RATE)), 0.8 * word(0.55, 2)])
    assert np.array(active_interval(laid(two, 1.0, 3.5, -70, 4))) / RATE == pytest.approx([1.0, 2.55], abs=0.05)
    burst = 0.25 * np.random.default_rng(3).uniform(-1, 1, int(0.03 * RATE))
    stop = np.concatenate([word(0.55, 1), np.zeros(int(0.08 * RATE)), burst])
    assert active_interval(laid(stop, 1.0, 3.0, -70, 4))[1] / RATE == pytest.approx(1.66, abs=0.03)


def test_a_tight_clip_is_nearly_all_speech() -> None:
    start, end = active_interval(to_int16(word(0.7, 9).astype(np.float32)))
    assert start <= 320
    assert end >= round(0.65 * RATE)


def test_rumble_below_speech_does_not_hide_it() -> None:
    pcm = laid(word(0.7, 10), 1.0, 3.0, -60, 11).astype(np.float64) + 32768 * tone(3.0, frequency=25, amplitude=0.4)
    start, end = active_interval(np.clip(pcm, -32768, 32767).astype(np.int16))
    assert start / RATE == pytest.approx(1.0, abs=0.05)
    assert end / RATE == pytest.approx(1.7, abs=0.05)


@pytest.mark.parametrize("sound", [np.zeros(RATE), tone(1.0), np.full(RATE, 0.5)])
def test_what_does_not_change_is_one_interval(sound: np.ndarray) -> None:
    start, end = active_interval(to_int16(sound.astype(np.float32)))
    assert end - start >= 0.9 * RATE


@settings(max_examples=60)
@given(st.integers(0, 5000), st.integers(0, 2**32 - 1), st.integers(0, 32767))
def test_the_interval_lies_in_the_clip_whatever_it_holds(samples: int, seed: int, most: int) -> None:
    pcm = np.random.default_rng(seed).integers(-most - 1, most + 1, samples).astype(np.int16)
    start, end = active_interval(pcm)
    assert 0 <= start <= end <= samples
    assert samples == 0 or start < end


def test_real_keywords_are_about_as_long_as_people_say_them() -> None:
    if not REAL.is_dir():
        pytest.skip("the recordings of real people are not here")
    lengths = []
    for path in sorted(REAL.glob("*.flac"))[:120]:
        start, end = active_interval(read(path)[0])
        lengths.append((end - start) / RATE)
    assert 0.55 <= statistics.median(lengths) <= 1.1
    assert max(lengths) < 1.6
