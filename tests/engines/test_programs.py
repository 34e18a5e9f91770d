"""flite and festival, where they are installed."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.pitch import fundamental
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Recording
from wakeword.engines import festival, flite, pico, program, rhvoice
from wakeword.engines.festival import FestivalConfig
from wakeword.engines.flite import FliteConfig
from wakeword.engines.pico import PicoConfig
from wakeword.engines.rhvoice import RhvoiceConfig
from wakeword.engines.speaker import LICENCE, CannotSay, Cast, Speaker
from wakeword.engines.voice import Manner, Voice, VoicesConfig
from wakeword.sources.synthesis import Utterance, speak
from wakeword.workers import ordered_map

needs_flite = pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")


def english(cast: Callable[..., Cast], config: VoicesConfig) -> list[str]:
    try:
        return list(cast(config, "en", Path()).voices)
    except UserError:
        return []


VOICES = english(festival.cast, FestivalConfig(share=1.0))
RHVOICES = english(rhvoice.cast, RhvoiceConfig(share=1.0))
needs_festival = pytest.mark.skipif(not VOICES, reason="festival or a voice for it is not installed")
needs_rhvoice = pytest.mark.skipif(not RHVOICES, reason="RHVoice or an English voice for it is not installed")
needs_pico = pytest.mark.skipif(not shutil.which("pico2wave"), reason="pico2wave is not installed")


def said(speaker: Speaker, text: str = "smart mirror") -> Utterance:
    return Utterance(text, "positive", text, "phrase", "en", speaker)


def recorded(speaker: Speaker, text: str = "smart mirror") -> Recording:
    result = speak(said(speaker, text))
    assert isinstance(result, Recording), result
    return result


def active_s(recording: Recording) -> float:
    return (recording.active[1] - recording.active[0]) / 16_000


def of_flite(voice: str = "slt", stretch: float = 1.0, pitch: float = 1.0) -> Voice:
    return Voice("flite", flite.group(voice), Manner(voice, stretch, pitch), partial(flite.write, ""), "2.2")


def of_festival(voice: str, stretch: float = 1.0, pitch: float = 1.0) -> Voice:
    return Voice("festival", festival.group(voice), Manner(voice, stretch, pitch), festival.write, "2.5.0")


def of_rhvoice(voice: str, stretch: float = 1.0, pitch: float = 1.0) -> Voice:
    return Voice("rhvoice", rhvoice.group(voice), Manner(voice, stretch, pitch), rhvoice.write)


def of_pico(voice: str, stretch: float = 1.0, pitch: float = 1.0) -> Voice:
    return Voice("pico", f"pico:{voice}", Manner(voice, stretch, pitch), pico.write)


def manners(cast: Cast, count: int = 20) -> list[Manner]:
    rng = np.random.default_rng(0)
    speakers = [cast.draw(voice, rng) for _ in range(count) for voice in cast.voices]
    return [speaker.manner for speaker in speakers if isinstance(speaker, Voice)]


@needs_flite
def test_flite_lends_its_usable_voices_and_draws_within_the_ranges() -> None:
    config = FliteConfig(share=1.0, stretch=[1.1, 1.2], pitch=[0.9, 1.1])
    cast = flite.cast(config, "en", Path())
    assert {"slt", "rms", "awb", "kal16"} <= set(cast.voices)
    assert not {"kal", "awb_time"} & set(cast.voices)
    drawn = manners(cast)
    assert len(drawn) == 20 * len(cast.voices)
    assert all(1.1 <= one.stretch <= 1.2 and 0.9 <= one.pitch <= 1.1 for one in drawn)
    assert {one.pitch for one in drawn if one.voice == "rms"} == {1.0}


@needs_flite
def test_the_manifest_names_engine_voice_and_every_parameter_of_flite() -> None:
    origin = recorded(flite.cast(FliteConfig(share=1.0), "en", Path()).draw("slt", np.random.default_rng(1))).origin
    assert (origin.group, origin.source) == ("flite:slt", "flite")
    assert origin.synthesis is not None
    assert str(origin.synthesis["engine"]).startswith("flite 2")
    assert set(origin.synthesis) == {"engine", "voice", "stretch", "pitch"}


@needs_flite
def test_flite_stretches_and_shifts() -> None:
    plain = recorded(of_flite())
    assert active_s(recorded(of_flite(stretch=1.5))) == pytest.approx(1.5 * active_s(plain), rel=0.1)
    assert fundamental(recorded(of_flite(pitch=1.25)).pcm) == pytest.approx(1.25 * fundamental(plain.pcm), rel=0.08)


@needs_flite
def test_the_same_bytes_in_any_process_and_order() -> None:
    spoken = [said(of_flite(voice), text) for voice in ("slt", "kal16") for text in ("smart mirror", "go away")]
    here = [recorded(item.by, item.text).pcm.tobytes() for item in spoken[::-1]][::-1]
    assert len(set(here)) == len(here)
    there = [result.pcm.tobytes() for result in ordered_map(speak, spoken, 2) if isinstance(result, Recording)]
    assert there == here


@needs_flite
@pytest.mark.parametrize("text", ["-h", "$(touch here) `touch here`", "say \"it\"; 'now' \\ (quit)", "café, it’s"])
def test_no_text_is_an_option_or_a_command(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(of_flite().say(text, "en").samples) > 1_000
    if VOICES:
        assert len(of_festival(VOICES[0]).say(text, "en").samples) > 1_000
    if RHVOICES:
        assert len(of_rhvoice(RHVOICES[0]).say(text, "en").samples) > 1_000
    if shutil.which("pico2wave"):
        assert len(of_pico("en-US").say(text, "en").samples) > 1_000
    assert not list(tmp_path.iterdir())


@needs_flite
def test_what_flite_cannot_read_costs_one_utterance() -> None:
    with pytest.raises(CannotSay, match="plain Latin letters only, not 'п'"):
        of_flite().say("привет", "en")


@needs_flite
@pytest.mark.parametrize(
    ("voices", "language", "complaint"),
    [
        (["nobody"], "en", "'ingest.synthesis.engines.flite.voices' names 'nobody'; there are .*slt"),
        (["gone.flitevox"], "en", r"gone\.flitevox is missing"),
        (None, "de", "flite speaks English, not 'de'"),
    ],
)
def test_what_flite_lacks_is_explained(voices: list[str] | None, language: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=complaint):
        flite.cast(FliteConfig(share=1.0, voices=voices), language, tmp_path)


@needs_festival
def test_festival_lends_the_voices_of_the_language() -> None:
    cast = festival.cast(FestivalConfig(share=1.0, stretch=[1.1, 1.2]), "en", Path())
    speaker = cast.draw(VOICES[0], np.random.default_rng(0))
    assert isinstance(speaker, Voice) and 1.1 <= speaker.manner.stretch <= 1.2
    origin = recorded(speaker).origin
    assert origin.source == "festival" and origin.synthesis is not None
    assert str(origin.synthesis["engine"]).startswith("festival 2")
    with pytest.raises(UserError, match=r"'ingest.synthesis.engines.festival.voices' names 'nobody'; there are"):
        festival.cast(FestivalConfig(share=1.0, voices=["nobody"]), "en", Path())
    with pytest.raises(UserError, match="no voice for 'xx'"):
        festival.cast(FestivalConfig(share=1.0), "xx", Path())


@needs_festival
@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_of_festival_stretches(voice: str) -> None:
    plain, slow = recorded(of_festival(voice)), recorded(of_festival(voice, stretch=1.4))
    assert active_s(slow) == pytest.approx(1.4 * active_s(plain), rel=0.15)


@pytest.mark.parametrize(
    "voice",
    [voice for voice in VOICES if festival.has_pitch(voice)]
    or [pytest.param("", marks=pytest.mark.skip(reason="festival has no voice of diphones"))],
)
def test_festival_shifts_voices_of_diphones(voice: str) -> None:
    low, high = (fundamental(recorded(of_festival(voice, pitch=pitch)).pcm) for pitch in (0.9, 1.3))
    assert high / low == pytest.approx(1.3 / 0.9, rel=0.1)


@needs_rhvoice
def test_rhvoice_lends_the_voices_of_the_language() -> None:
    cast = rhvoice.cast(RhvoiceConfig(share=1.0, stretch=[0.8, 0.9], pitch=[1.1, 1.2]), "en", Path())
    assert all(0.8 <= one.stretch <= 0.9 and 1.1 <= one.pitch <= 1.2 for one in manners(cast))
    origin = recorded(cast.draw(RHVOICES[0], np.random.default_rng(0))).origin
    assert origin.source == "rhvoice" and origin.synthesis is not None
    assert set(origin.synthesis) == {"engine", "voice", "stretch", "pitch"}
    with pytest.raises(UserError, match=r"'ingest.synthesis.engines.rhvoice.voices' names 'nobody'; there are"):
        rhvoice.cast(RhvoiceConfig(share=1.0, voices=["nobody"]), "en", Path())
    with pytest.raises(UserError, match="no voice for 'xx'"):
        rhvoice.cast(RhvoiceConfig(share=1.0), "xx", Path())


@needs_rhvoice
@pytest.mark.parametrize("voice", RHVOICES or [""])
def test_every_voice_of_rhvoice_stretches_and_shifts(voice: str) -> None:
    changes_as_asked(lambda stretch, pitch: of_rhvoice(voice, stretch, pitch))


@needs_pico
@pytest.mark.parametrize("voice", ["en-GB", "en-US"])
def test_every_voice_of_pico_stretches_and_shifts(voice: str) -> None:
    changes_as_asked(lambda stretch, pitch: of_pico(voice, stretch, pitch))


def changes_as_asked(speaker: Callable[[float, float], Voice]) -> None:
    plain = recorded(speaker(1.0, 1.0))
    assert active_s(recorded(speaker(1.25, 1.0))) == pytest.approx(1.25 * active_s(plain), rel=0.1)
    assert fundamental(recorded(speaker(1.0, 1.2)).pcm) == pytest.approx(1.2 * fundamental(plain.pcm), rel=0.05)


@needs_pico
def test_pico_lends_the_voices_of_the_language() -> None:
    assert pico.cast(PicoConfig(share=1.0), "en", Path()).voices == ["en-GB", "en-US"]
    with pytest.raises(UserError, match=r"pico speaks .*, not 'pl'"):
        pico.cast(PicoConfig(share=1.0), "pl", Path())


@needs_festival
def test_a_users_own_settings_do_not_speak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = of_festival(VOICES[0]).say("go away", "en").samples
    (tmp_path / ".festivalrc").write_text("(Parameter.set 'Duration_Stretch 3)\n(quit)\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    np.testing.assert_array_equal(of_festival(VOICES[0]).say("go away", "en").samples, plain)


def test_one_person_is_one_group_whichever_engine_has_the_voice() -> None:
    assert of_festival("kal_diphone").group == of_flite("kal16").group == of_flite("kal").group == "flite:kal16"
    assert of_festival("cmu_us_slt_arctic_hts").group == of_flite("slt").group
    assert (
        of_flite("voices/cmu_us_aew.flitevox").group == "flite:aew" != of_flite("voices/cmu_indic_aew.flitevox").group
    )
    assert of_festival("ked_diphone").group == "festival:ked_diphone"
    assert of_festival("en1_mbrola").group == of_festival("rab_diphone").group
    for name in ("slt", "rms", "awb"):
        built_in, file = of_flite(name).group, of_flite(f"voices/cmu_us_{name}.flitevox").group
        assert (
            built_in
            == file
            == of_festival(f"cmu_us_{name}_arctic_clunits").group
            == of_festival(f"cmu_us_{name}_cg").group
        )
    for voice, name in (("slt", "slt"), ("alan", "awb"), ("bdl", "bdl"), ("clb", "clb")):
        assert of_rhvoice(voice).group == of_festival(f"cmu_us_{name}_arctic_clunits").group


def test_a_voice_that_must_not_be_sold_says_so() -> None:
    assert "products that are sold" in festival.licence("us1_mbrola")
    assert rhvoice.licence("lyubov") == "CC-BY-NC-ND-4.0"
    assert festival.licence("kal_diphone") == rhvoice.licence("slt") == LICENCE


@pytest.mark.parametrize(
    ("cast", "config", "package"),
    [
        (flite.cast, FliteConfig(share=1.0), "apt-get install flite`"),
        (festival.cast, FestivalConfig(share=1.0), "apt-get install festival festvox-kallpc16k"),
        (rhvoice.cast, RhvoiceConfig(share=1.0), "apt-get install rhvoice rhvoice-english`"),
        (pico.cast, PicoConfig(share=1.0), "apt-get install libttspico-utils`"),
    ],
)
def test_an_absent_program_is_an_error_with_its_remedy(
    cast: Any, config: Any, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=package):
        cast(config, "en", Path())


def test_a_program_that_fails_or_hangs_costs_one_utterance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(program, "TIMEOUT_S", 0.2)
    with pytest.raises(CannotSay, match=r"sleep takes longer than 0\.2 s"):
        program.run(["sleep", "20"])
    with pytest.raises(CannotSay, match="ends with status 3: oh no"):
        program.run(["sh", "-c", "echo oh no >&2; exit 3"])
    with pytest.raises(CannotSay, match="no sound came out"):
        program.read(tmp_path / "none.wav")
