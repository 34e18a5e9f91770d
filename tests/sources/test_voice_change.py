from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from tests.engines.pitch import fundamental
from wakeword.corpus.manifest import Recording
from wakeword.engines.espeak import Espeak
from wakeword.sources.activity import active_interval
from wakeword.sources.synthesis import Utterance, speak
from wakeword.sources.voice_change import VoiceChange, VoiceChangeConfig, changed, draw
from wakeword.workers import ordered_map

RATE = 16_000
FORMANTS = 700.0, 1220.0, 2600.0


def vowel(hertz: Sequence[float] | float = 120.0, seconds: float = 0.6) -> np.ndarray:
    """An "a" as theory has it: pulses at a pitch, or one gliding between two, through three resonances (Fant 1960)."""
    pitch = np.linspace(*np.broadcast_to(hertz, 2), round(RATE * seconds))
    samples = (np.diff(np.floor(np.cumsum(pitch / RATE)), prepend=-1) > 0).astype(float)
    for formant, bandwidth in zip(FORMANTS, (80, 90, 120), strict=True):
        radius = np.exp(-np.pi * bandwidth / RATE)
        samples = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], samples)
    return np.asarray(samples / np.abs(samples).max() * 16_000, dtype=np.int16)


def formants(pcm: np.ndarray) -> np.ndarray:
    """The resonances in Hz, by linear prediction (autocorrelation method, order 10)."""
    middle = pcm.astype(float)[2000:-2000]
    middle = (middle - 0.9 * np.append(0, middle[:-1])) * np.hanning(len(middle))
    correlation = np.correlate(middle, middle, "full")[len(middle) - 1 :][:11]
    roots = np.roots(np.append(1, -solve_toeplitz(correlation[:10], correlation[1:])))
    hertz, bandwidth = np.angle(roots) * RATE / 2 / np.pi, -np.log(np.abs(roots)) * RATE / np.pi
    return np.sort(hertz[(hertz > 300) & (bandwidth < 500)])


def hiss(pcm: np.ndarray, hertz: float) -> float:
    """How strong a steady vowel of that pitch is between its harmonics, in dB against them, from 4 to 7 kHz."""
    middle = pcm.astype(float)[2000:-2000] * np.hanning(len(pcm) - 4000)
    power = np.abs(np.fft.rfft(middle)) ** 2
    step = hertz * len(middle) / RATE
    harmonics = np.arange(int(4000 / hertz), int(7000 / hertz))
    on = power[np.round(harmonics * step).astype(int)].mean()
    between = power[np.round((harmonics + 0.5) * step).astype(int)].mean()
    return float(10 * np.log10(between / on))


def said(change: VoiceChange | None, text: str = "llama alarm", variant: str = "m3", pitch: int = 50) -> Utterance:
    speaker = Espeak("en-us", variant, 130, pitch, 50)
    return Utterance(text, "positive", text, "phrase", "en", speaker, change)


def recorded(utterance: Utterance) -> Recording:
    result = speak(utterance)
    assert isinstance(result, Recording), result
    return result


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.15])
def test_formants_move_by_the_factor_and_pitch_and_length_stay(factor: float) -> None:
    other = changed(vowel(), VoiceChange(formants=factor))
    np.testing.assert_allclose(formants(other)[:3], factor * formants(vowel())[:3], rtol=0.05)
    assert fundamental(other) == pytest.approx(120, rel=0.02)
    assert len(other) == len(vowel())


@pytest.mark.parametrize("factor", [0.75, 1.3])
@pytest.mark.parametrize("variant", ["m3", "f2"])
def test_the_pitch_of_speech_moves_by_the_factor(factor: float, variant: str) -> None:
    plain = recorded(said(None, variant=variant)).pcm
    other = recorded(said(VoiceChange(pitch=factor), variant=variant)).pcm
    assert fundamental(other) == pytest.approx(factor * fundamental(plain), rel=0.06)


def test_the_pitch_of_a_vowel_moves_and_its_formants_stay() -> None:
    other = changed(vowel(), VoiceChange(pitch=1.3))
    assert fundamental(other) == pytest.approx(156, rel=0.02)
    np.testing.assert_allclose(formants(other)[:3], formants(vowel())[:3], rtol=0.06)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_the_melody_is_stretched_in_semitones(factor: float) -> None:
    glide = vowel((100.0, 150.0), seconds=1.0)

    def rise(pcm: np.ndarray) -> float:
        first, last = (fundamental(pcm[round(at * RATE) :][: RATE // 5]) for at in (0.1, 0.7))
        return float(np.log2(last / first))

    assert rise(changed(glide, VoiceChange(melody=factor))) == pytest.approx(factor * rise(glide), rel=0.15)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_the_tempo_changes_the_length_alone(factor: float) -> None:
    other = changed(vowel(), VoiceChange(tempo=factor))
    assert len(other) == pytest.approx(len(vowel()) / factor, abs=1)
    assert fundamental(other) == pytest.approx(120, rel=0.02)
    np.testing.assert_allclose(formants(other)[:3], formants(vowel())[:3], rtol=0.05)


def test_breath_is_noise_between_the_harmonics() -> None:
    plain, breathy, whisper = (hiss(changed(vowel(), VoiceChange(breath=b)), 120.0) for b in (0.0, 0.5, 1.0))
    assert plain < -15
    assert plain + 5 < breathy < whisper


def test_the_loudest_stays_as_loud_and_silence_silent() -> None:
    for change in (VoiceChange(), VoiceChange(formants=0.85, pitch=1.3, breath=0.5)):
        assert np.abs(changed(vowel(), change).astype(int)).max() == 16_000
    silence = np.zeros(RATE, dtype=np.int16)
    np.testing.assert_array_equal(changed(silence, VoiceChange(pitch=1.2)), silence)
    noise = (np.random.default_rng(0).standard_normal(RATE) * 3000).astype(np.int16)
    assert np.isfinite(changed(noise, VoiceChange(pitch=1.2)).astype(float)).all()  # has no pitch at all


def test_where_somebody_speaks_is_found_anew() -> None:
    plain, slow = recorded(said(None)), recorded(said(VoiceChange(tempo=0.8)))
    seconds = [(recording.active[1] - recording.active[0]) / RATE for recording in (plain, slow)]
    assert seconds[1] == pytest.approx(seconds[0] / 0.8, abs=0.06)
    assert slow.active == active_interval(slow.pcm)


def test_the_group_stays_and_the_manifest_names_the_change() -> None:
    change = VoiceChange(formants=1.1, pitch=0.9, melody=1.2, tempo=1.05, breath=0.25)
    plain, other = recorded(said(None)).origin, recorded(said(change)).origin
    assert other.group == plain.group == "espeak-ng:m3"
    assert plain.synthesis is not None and other.synthesis is not None
    added = {name: value for name, value in other.synthesis.items() if name not in plain.synthesis}
    assert added == {
        "change_formants": 1.1,
        "change_pitch": 0.9,
        "change_melody": 1.2,
        "change_tempo": 1.05,
        "change_breath": 0.25,
    }
    assert other.path != plain.path


def test_the_same_bytes_in_any_process() -> None:
    rng = np.random.default_rng(0)
    config = VoiceChangeConfig(share=1.0)
    spoken = [said(draw(config, rng), variant=variant) for variant in ("m3", "f2", "f5", "croak")]
    here = [recorded(utterance).pcm.tobytes() for utterance in spoken[::-1]][::-1]
    for workers in (1, 2):
        assert [r.pcm.tobytes() for r in ordered_map(speak, spoken, workers) if isinstance(r, Recording)] == here


def test_draws_fill_the_ranges_and_keep_the_share() -> None:
    config = VoiceChangeConfig(share=0.3)
    rng = np.random.default_rng(0)
    drawn = [draw(config, rng) for _ in range(2000)]
    changes = [change for change in drawn if change]
    assert len(changes) / len(drawn) == pytest.approx(0.3, abs=0.03)
    for name in ("formants", "pitch", "melody", "tempo", "breath"):
        low, high = getattr(config, name)
        values = [getattr(change, name) for change in changes]
        margin = 0.02 * (high - low)
        assert low <= min(values) <= low + margin and high - margin <= max(values) <= high
    assert draw(VoiceChangeConfig(), rng) is None


@pytest.mark.parametrize(
    "wrong", [{"share": 1.5}, {"pitch": [1.2, 0.8]}, {"breath": [0.0, 1.1]}, {"tempo": [0.0, 1.0]}, {"formant": [1, 1]}]
)
def test_config_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VoiceChangeConfig.model_validate(wrong)
