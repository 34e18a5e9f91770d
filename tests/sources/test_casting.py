from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from wakeword.engines import registry
from wakeword.engines.espeak import Espeak, EspeakConfig
from wakeword.engines.flite import FliteConfig
from wakeword.engines.registry import EnginesConfig, turns
from wakeword.engines.speaker import Cast
from wakeword.engines.voice import Manner, Voice
from wakeword.sources.casting import casting
from wakeword.sources.synthesis_config import SynthesisConfig
from wakeword.sources.voice_change import VoiceChangeConfig


def nothing(manner: Manner, text: str, sound: Path) -> None:
    """Nobody speaks here."""


@pytest.fixture
def _flite(monkeypatch: pytest.MonkeyPatch) -> None:
    """flite with two voices, installed or not."""

    def draw(voice: str, rng: np.random.Generator) -> Voice:
        return Voice("flite", f"flite:{voice}", Manner(voice, round(float(rng.random()), 3), 1.0), nothing)

    cast = Cast(["a", "b"], draw)
    monkeypatch.setitem(registry.ENGINES, "flite", lambda config, language, root: cast)


def config(espeak: float, flite: float, change: float = 0.0, number: int = 1000) -> SynthesisConfig:
    return SynthesisConfig(
        positives=number,
        negatives=number,
        engines=EnginesConfig(espeak=EspeakConfig(share=espeak, voices=["en-us"]), flite=FliteConfig(share=flite)),
        voice_change=VoiceChangeConfig(share=change),
    )


@pytest.mark.usefixtures("_flite")
def test_engines_keep_to_their_shares_and_their_voices_take_turns() -> None:
    choose = casting(config(0.7, 0.3), "en", 1, Path())
    speakers = [choose([2], index, False)[0] for index in range(1000)]
    for number in (20, 100, 1000):
        assert sum(isinstance(s, Voice) for s in speakers[:number]) == pytest.approx(0.3 * number, abs=2)
    of_flite = Counter(speaker.group for speaker in speakers if isinstance(speaker, Voice))
    assert set(of_flite) == {"flite:a", "flite:b"}
    assert abs(of_flite["flite:a"] - of_flite["flite:b"]) <= 1
    of_espeak = Counter(speaker.variant for speaker in speakers if isinstance(speaker, Espeak))
    assert max(of_espeak.values()) - min(of_espeak.values()) <= 1


@pytest.mark.usefixtures("_flite")
def test_an_engine_may_say_fewer_of_the_running_sentences() -> None:
    engines = {"espeak": {"share": 0.7, "running_share": 0.9}, "flite": {"share": 0.3, "running_share": 0.1}}
    said = config(0.7, 0.3).model_copy(update={"engines": EnginesConfig.model_validate(engines)})
    choose = casting(said, "en", 1, Path())
    for running, share in ((False, 0.3), (True, 0.1)):
        speakers = [choose([2], index, running)[0] for index in range(100)]
        assert sum(isinstance(speaker, Voice) for speaker in speakers) == pytest.approx(100 * share, abs=2)


@pytest.mark.usefixtures("_flite")
def test_more_utterances_leave_the_earlier_ones_as_they_were() -> None:
    few, many = (casting(config(0.7, 0.3, 0.5, number), "en", 1, Path()) for number in (50, 500))
    assert [few([2], index, False) for index in range(50)] == [many([2], index, False) for index in range(50)]
    other = casting(config(0.7, 0.3, 0.5, 50), "en", 2, Path())
    assert [few([2], index, False) for index in range(50)] != [other([2], index, False) for index in range(50)]


@pytest.mark.usefixtures("_flite")
def test_changing_voices_changes_nobodys_turn() -> None:
    without, half = (casting(config(0.7, 0.3, share), "en", 1, Path()) for share in (0.0, 0.5))
    plain, some = ([choose([2], index, False) for index in range(200)] for choose in (without, half))
    assert [speaker for speaker, _ in plain] == [speaker for speaker, _ in some]
    assert not any(change for _, change in plain)
    assert sum(change is not None for _, change in some) == pytest.approx(100, abs=25)
    distinct = {change for _, change in some if change}
    assert len(distinct) == sum(change is not None for _, change in some)


def test_engines_and_kinds_of_text_are_independent() -> None:
    """Both fall evenly; were they the same sequence, one engine would say all sentences."""
    whose = np.array([engine for engine, _ in turns([0.5, 0.5], 2000)])
    first_kind = (0.5 + np.arange(2000) * (np.sqrt(5) - 1) / 2) % 1 < 0.5
    assert np.mean(whose[first_kind]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"espeak": None}, "names no engine"),
        ({"flite": {"share": 0.5}}, r"the shares sum to 1.5 \(espeak 1, flite 0.5\); make them sum to 1"),
        (
            {"espeak": {"share": 0.5, "running_share": 0.9}, "flite": {"share": 0.5}},
            r"the running shares sum to 1.4 \(espeak 0.9, flite 0.5\)",
        ),
        ({"flite": {}}, "Field required"),
        ({"espeak": {"share": 0.0}}, "greater than 0"),
        ({"espeak-ng": {"share": 1.0}}, "Extra inputs"),
        ({"espeak": None, "flite": {"share": 1.0, "rate_wpm": [95, 170]}}, "Extra inputs"),
        ({"espeak": None, "flite": {"share": 1.0, "stretch": [1.5, 1.0]}}, "put the lower value first"),
        ({"espeak": None, "piper": {"share": 1.0, "models": []}}, "at least 1"),
        ({"espeak": None, "piper": {"share": 1.0}}, "Field required"),
        ({"espeak": None, "piper": {"share": 1.0, "models": ["/voices/x.onnx"]}}, r"must lie below data/voices"),
        ({"espeak": None, "flite": {"share": 1.0, "voices": ["../x.flitevox"]}}, r"must lie below data/voices"),
    ],
)
def test_a_wrong_choice_of_engines_is_explained(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        EnginesConfig.model_validate(wrong)
