import hashlib
import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.engines.pitch import fundamental
from wakeword.corpus.manifest import Recording, Rejection
from wakeword.engines import espeak_library
from wakeword.engines.espeak import Espeak, speaker
from wakeword.engines.espeak_library import phonemes, variants, voices, voices_of
from wakeword.sources import synthesis
from wakeword.sources.synthesis import Utterance, speak
from wakeword.workers import Crash, ordered_map


def said(text: str, variant: str = "", voice: str = "en-us", **how: int) -> Utterance:
    parameters = {"rate_wpm": 130, "pitch": 50, "pitch_range": 50} | how
    return Utterance(text, "positive", text, "phrase", "en", Espeak(voice, variant, **parameters))


def recorded(utterance: Utterance) -> Recording:
    result = speak(utterance)
    assert isinstance(result, Recording), result
    return result


def digest(result: object) -> str:
    assert isinstance(result, Recording), result
    return hashlib.sha256(result.pcm.tobytes()).hexdigest()


def spectrum(pcm: np.ndarray) -> np.ndarray:
    """The long-term spectrum in dB, in 40 bands, without the level."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm.astype(float), 512)[::160] * np.hanning(512)
    bands = (np.abs(np.fft.rfft(frames)[:, 1:241]) ** 2).mean(axis=0).reshape(40, 6).mean(axis=1)
    level = 10 * np.log10(bands + 1)
    return level - level.mean()


# These speak with what a synthesizer may remember: noise (breath), echo, flutter, gain control, the Klatt filters.
MANY = [
    said("snowboy", "f3"),
    said("snowboy", "f5", "en-gb"),
    said("smart mirror", "croak", pitch=70),
    said("iron fist", "klatt4"),
    said("the quick brown fox", "Alicia", "en-029", rate_wpm=170),
    said("go", "ed", pitch=75, pitch_range=90),
    said("is it? yes, it is.", "m2", "en-gb-scotland"),
    said("snowboy"),
    said("snowboy", "victor"),
    said("fizzy water", "sandro"),
]


@pytest.fixture(scope="module")
def digests() -> dict[Utterance, str]:
    return {utterance: digest(speak(utterance)) for utterance in MANY}


def test_known_phonemes() -> None:
    assert phonemes(["snowboy", "Cat!", "smart mirror"], "en-us") == [
        ("s", "n", "oʊ", "b", "ɔɪ"),
        ("k", "æ", "t"),
        ("s", "m", "ɑɹ", "t", "m", "ɪ", "ɹ", "ɚ"),
    ]
    assert phonemes(["Hallo"], "de") == [("h", "a", "l", "oː".rstrip("ː"))]


def test_homophones_have_equal_phonemes_and_other_words_do_not() -> None:
    night, knight, there, their, light = phonemes(["night", "knight", "there", "their", "light"], "en-us")
    assert night == knight
    assert there == their
    assert night != light


def test_nothing_to_say_has_no_phonemes() -> None:
    assert phonemes(["", "?!..."], "en-us") == [(), ()]


def test_a_change_of_language_is_marked() -> None:
    assert "(en)" in phonemes(["the"], "de")[0]


@pytest.mark.parametrize("text", ["snowboy", "a rather long sentence about nothing"])
def test_duration_grows_as_the_rate_falls(text: str) -> None:
    recordings = [recorded(said(text, "m3", rate_wpm=rate)) for rate in (175, 150, 125, 100)]
    durations = [recording.active[1] - recording.active[0] for recording in recordings]
    assert durations == sorted(set(durations))
    assert durations[-1] > 1.3 * durations[0]


@pytest.mark.parametrize("variant", ["m3", "f2"])
def test_the_voice_rises_with_pitch(variant: str) -> None:
    low, middle, high = (fundamental(recorded(said("llama alarm", variant, pitch=p)).pcm) for p in (20, 50, 80))
    assert 1.2 * low < middle
    assert 1.2 * middle < high


def test_the_voice_varies_with_range() -> None:
    """A question rises; in monotone it can't."""

    def spread(pitch_range: int) -> float:
        pcm = recorded(said("are you in my room?", "m3", pitch_range=pitch_range)).pcm
        thirds = np.array_split(pcm, 6)
        return max(map(fundamental, thirds)) / min(map(fundamental, thirds))

    assert spread(90) > spread(0)


def test_female_variants_are_higher_than_male_ones() -> None:
    male, female = (fundamental(recorded(said("llama alarm", name)).pcm) for name in ("m1", "f1"))
    assert male < 130 < female


def test_same_bytes_whatever_was_said_before(digests: dict[Utterance, str]) -> None:
    for seed in range(3):
        order = list(MANY)
        random.Random(seed).shuffle(order)
        assert {utterance: digest(speak(utterance)) for utterance in order} == digests


@pytest.mark.parametrize("workers", [1, 2])
def test_same_bytes_with_any_number_of_workers(digests: dict[Utterance, str], workers: int) -> None:
    results = list(ordered_map(speak, MANY, workers))
    assert [digest(result) for result in results] == [digests[utterance] for utterance in MANY]


def speak_or_die(utterance: Utterance) -> Recording | Rejection:
    if utterance.text == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    return speak(utterance)


def test_a_crash_costs_one_utterance(digests: dict[Utterance, str]) -> None:
    items = [*MANY[:2], said("die"), *MANY[2:4], said("die"), MANY[4]]
    results = list(ordered_map(speak_or_die, items, workers=2))
    for utterance, result in zip(items, results, strict=True):
        if utterance.text == "die":
            assert result == Crash(utterance, "the worker process died (SIGSEGV)")
        else:
            assert digest(result) == digests[utterance]


def test_nothing_stays_loaded() -> None:
    speak(MANY[0])
    assert "libespeak-ng" not in Path("/proc/self/maps").read_text()


def test_every_parameter_changes_the_audio() -> None:
    plain = said("smart mirror", "m3")
    others = [
        replace(plain, text="smart mirrors"),
        said("smart mirror", "m3", "en-gb"),
        said("smart mirror", "m4"),
        said("smart mirror", "m3", rate_wpm=120),
        said("smart mirror", "m3", pitch=60),
        said("smart mirror", "m3", pitch_range=60),
    ]
    assert len({digest(speak(utterance)) for utterance in [plain, *others]}) == len(others) + 1


def test_variants_are_other_throats() -> None:
    """The long-term spectrum of one text moves by several dB between speakers, much less with the speaker's accent."""

    def apart(one: Utterance, other: Utterance) -> float:
        return float(np.abs(spectrum(recorded(one).pcm) - spectrum(recorded(other).pcm)).mean())

    text = "snowboy"
    accents = apart(said(text, "f3", "en-us"), said(text, "f3", "en-gb-x-rp"))
    for name in ("m1", "m7", "grandma", "Nguyen", "zac"):
        assert apart(said(text, "f3"), said(text, name)) > max(2.0, 1.2 * accents)


def test_what_a_recording_says_of_itself() -> None:
    utterance = said("snowboy", "f3", "en-gb", rate_wpm=111, pitch=61, pitch_range=31)
    recording = recorded(utterance)
    origin = recording.origin
    assert recording.pcm.dtype == np.int16
    assert recording.pcm.ndim == 1
    assert recording.origin_rate == 22050
    assert 0 <= recording.active[0] < recording.active[1] <= len(recording.pcm)
    assert (origin.label, origin.phrase, origin.text, origin.kind) == ("positive", "snowboy", "snowboy", "phrase")
    assert (origin.group, origin.group_known, origin.source) == ("espeak-ng:f3", True, "espeak-ng")
    assert origin.synthesis is not None
    assert str(origin.synthesis["engine"]).startswith("espeak-ng 1.")
    wanted = {"voice": "en-gb", "variant": "f3", "rate_wpm": 111, "pitch": 61, "pitch_range": 31}
    assert wanted.items() <= origin.synthesis.items()


def test_the_group_is_the_speaker() -> None:
    one, other = recorded(said("snowboy", "f3", "en-us")), recorded(said("night", "f3", "en-gb"))
    assert one.origin.group == other.origin.group
    assert speaker("steph2") == speaker("steph") != speaker("f3")
    assert speaker("") == "espeak-ng:default"


def test_nothing_audible_is_rejected() -> None:
    result = speak(said("?!", "f3"))
    assert isinstance(result, Rejection)
    assert "silent" in result.reason
    assert "'?!' by en-us+f3" in result.reason


def test_clipping_is_rejected() -> None:
    result = speak(said("smart mirror", "iven"))
    assert isinstance(result, Rejection)
    assert "clipped" in result.reason
    assert "'smart mirror' by en-us+iven" in result.reason


@pytest.mark.parametrize("seconds", [0.05, 9.0])
def test_an_implausible_duration_is_rejected(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(synthesis, "active_interval", lambda pcm: (0, int(16000 * seconds)))
    result = speak(said("snowboy", "f3"))
    assert isinstance(result, Rejection)
    assert f"lasts {seconds:.2f} s" in result.reason


@pytest.mark.parametrize(("voice", "variant"), [("en-us", "nobody"), ("en-us", "F3"), ("xx", ""), ("en-us", "../f3")])
def test_an_unknown_voice_is_no_other_voice(voice: str, variant: str) -> None:
    with pytest.raises(ValueError, match="no voice"):
        speak(said("snowboy", variant, voice))


def test_a_silent_fallback_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak_library, "variants", lambda: ("nobody",))
    with pytest.raises(ValueError, match=r"took voice 'gmw/en-US' instead of 'gmw/en-US\+nobody'"):
        speak(said("snowboy", "nobody"))


def test_accents_of_a_language() -> None:
    english = voices_of("en")
    assert {"en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029"} <= set(english)
    assert "en-shaw" not in english  # reads another script
    assert english[0] == "en-gb"
    assert voices_of("de") == ["de"]
    assert voices_of("zh") == ["cmn"]
    assert voices_of("no") == ["nb"]
    assert voices_of("zh-CN") == ["cmn"] and voices_of("sv-SE") == ["sv"]
    assert voices_of("xx") == voices_of("xx-YY") == []
    assert set(english) < set(voices())


def test_variants_are_those_of_the_wheel() -> None:
    assert {"", "f1", "f5", "m1", "m8", "klatt", "Mr serious", "whisper"} <= set(variants())
