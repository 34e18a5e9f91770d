"""Rooms: the direct sound comes first and alone, reflections when geometry says, and decay as long as asked."""

import math
from dataclasses import replace

import numpy as np
import pytest

from wakeword.streams.rooms import Box, box_rir, draw_box, from_direct, reverberate, simulated_rir

RATE = 16_000


def decay_s(rir: np.ndarray) -> float:
    """Return the reverberation time by Schroeder's backward integration, from the fall between -5 and -25 dB."""
    left = np.cumsum(rir[::-1].astype(float) ** 2)[::-1]
    level = 10 * np.log10(left / left[0])
    return float(3 * (np.argmax(level < -25) - np.argmax(level < -5)) / RATE)


def test_a_reflection_comes_when_and_as_strong_as_geometry_says() -> None:
    # Far from all walls but the floor: the first reflection is that of the floor.
    box = Box((40.0, 40.0, 40.0), (20.0, 20.0, 1.0), (23.0, 20.0, 1.0), 0.36, 1)
    rir = box_rir(box)
    direct = int(np.argmax(np.abs(rir)))
    assert rir[direct] == pytest.approx(1.0)
    path = math.hypot(3.0, 2.0)
    delay = round((path - 3.0) / 343.0 * RATE)
    around = rir[direct + delay - 2 : direct + delay + 3]
    # Amplitude falls with distance, and a wall that takes 36 % of the energy leaves 80 % of the amplitude.
    assert np.abs(around).max() == pytest.approx(0.8 * 3.0 / path, rel=0.1)


def test_drawn_rooms_hold_their_people_and_decay_about_as_asked() -> None:
    rng = np.random.default_rng(2)
    for t60 in (0.25, 0.5):
        boxes = [draw_box(t60, rng) for _ in range(12)]
        for box in boxes:
            for place in (box.source, box.microphone):
                assert all(0.3 < at < side - 0.3 for at, side in zip(place, box.size, strict=True))
        # Sabine's law is that of a diffuse field; small rooms with flat walls differ from it.
        assert 0.6 * t60 < np.median([decay_s(box_rir(box)) for box in boxes]) < 1.8 * t60


def test_a_box_begins_with_the_direct_sound_even_where_it_is_not_the_strongest() -> None:
    """Reflections that meet once took its place, so that speech began up to 26 ms before its annotation."""
    rng, stronger = np.random.default_rng(4), 0
    for box in [draw_box(1.0, rng) for _ in range(20)]:
        assert np.argmax(np.abs(box_rir(replace(box, reflections=0)))) == 0
        stronger += int(np.argmax(np.abs(box_rir(box))) > RATE // 1000)
    assert stronger > 0


def test_a_box_sounds_the_same_every_time() -> None:
    box = draw_box(0.4, np.random.default_rng(5))
    assert draw_box(0.4, np.random.default_rng(5)) == box
    assert np.array_equal(box_rir(box), box_rir(box))


@pytest.mark.parametrize("direct_db", [-10.0, 0.0, 15.0])
def test_a_room_changes_no_level_and_moves_nothing(direct_db: float) -> None:
    """Whatever the ratio of direct to reflected sound, and however late in the response the direct sound comes."""
    rng = np.random.default_rng(3)
    rir = np.pad(simulated_rir(0.5, direct_db, rng), (200, 0)).astype(np.float32)
    rir *= 0.03
    rir = from_direct(rir)
    speech = np.zeros(4 * RATE)
    speech[RATE : 2 * RATE] = 0.1 * rng.standard_normal(RATE)
    wet = reverberate(speech, rir)
    assert wet.dtype == np.float32 and len(wet) == len(speech) + len(rir) - 1 and len(rir) == 8001
    assert np.linalg.norm(wet) == pytest.approx(np.linalg.norm(speech), rel=1e-4)
    assert np.abs(wet[:RATE]).max() < 1e-6 < np.abs(wet[RATE : RATE + 10]).max()


def test_silence_stays_silence_in_a_room() -> None:
    assert not reverberate(np.zeros(1000), simulated_rir(0.2, 3.0, np.random.default_rng(1))).any()


@pytest.mark.parametrize("t60_s", [0.3, 0.8])
@pytest.mark.parametrize("direct_db", [0.0, 10.0])
def test_a_made_up_room_decays_and_is_as_near_as_asked(t60_s: float, direct_db: float) -> None:
    rir = simulated_rir(t60_s, direct_db, np.random.default_rng(1)).astype(float)
    assert 10 * np.log10(rir[0] ** 2 / np.sum(rir[1:] ** 2)) == pytest.approx(direct_db, abs=0.01)
    assert decay_s(rir[480:]) == pytest.approx(t60_s, rel=0.15)
