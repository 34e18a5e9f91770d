import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("piper", reason="piper-tts is not installed")

from tests.engines.piper_voice import HERTZ, voice
from tests.sounds import RATE
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Recording, Rejection
from wakeword.engines.piper import PiperConfig, cast
from wakeword.sources.synthesis import Utterance, speak
from wakeword.workers import ordered_map


def said(root: Path, config: PiperConfig, who: str, text: str = "snowboy", seed: int = 0) -> Utterance:
    speaker = cast(config, "en", root).draw(who, np.random.default_rng(seed))
    return Utterance(text, "positive", text, "phrase", "en", speaker)


def recorded(utterance: Utterance) -> Recording:
    result = speak(utterance)
    assert isinstance(result, Recording), result
    return result


def loudest_hertz(pcm: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)), 1 << 17))
    return float(spectrum.argmax() * RATE / (1 << 17))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    voice(folder)
    voice(folder, "alone", speakers=1)
    for size in ("low", "high"):  # one person in two models
        voice(folder, f"en_US-joe-{size}", speakers=1)
    voice(folder, "en_US-arctic-medium", speaker_id_map={"awb": 0, "slt": 1, "bdl": 2})
    return folder


def test_each_speaker_of_each_model_is_a_voice_and_a_group(root: Path) -> None:
    config = PiperConfig(share=1.0, models=["tiny.onnx", "alone.onnx"])
    people = ["en_US-joe-low.onnx", "en_US-joe-high.onnx", "en_US-arctic-medium.onnx"]
    twice = PiperConfig(share=1.0, models=people)
    assert cast(config, "en", root).voices == ["tiny#0", "tiny#1", "tiny#2", "alone"]
    assert recorded(said(root, config, "tiny#1")).origin.group == "piper:tiny#1"
    assert recorded(said(root, config, "alone")).origin.group == "piper:alone"
    assert recorded(said(root, twice, "en_US-joe-low")).origin.group == "piper:en_US-joe"
    assert recorded(said(root, twice, "en_US-joe-high")).origin.group == "piper:en_US-joe"
    assert recorded(said(root, twice, "en_US-arctic-medium#1")).origin.group == "flite:slt"
    some = PiperConfig(share=1.0, models=["tiny.onnx"], speakers=[2])
    assert cast(some, "en", root).voices == ["tiny#2"]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_number_of_the_speaker_reaches_the_voice(root: Path, number: int) -> None:
    pcm = recorded(said(root, PiperConfig(share=1.0, models=["tiny.onnx"]), f"tiny#{number}")).pcm
    assert loudest_hertz(pcm) == pytest.approx(HERTZ[number], abs=1)


def test_the_length_scale_reaches_the_voice(root: Path) -> None:
    lengths = []
    for scale in (1.0, 1.5):
        config = PiperConfig(share=1.0, models=["alone.onnx"], length_scale=[scale, scale])
        lengths.append(len(recorded(said(root, config, "alone")).pcm))
    assert lengths[1] == pytest.approx(1.5 * lengths[0], rel=0.001)


def test_what_the_manifest_says(root: Path) -> None:
    config = PiperConfig(share=1.0, models=["tiny.onnx"], noise_w=[0.3, 0.3], licence="CC0-1.0")
    origin = recorded(said(root, config, "tiny#0")).origin
    assert origin.synthesis is not None
    assert str(origin.synthesis["engine"]).startswith("piper 1.")
    assert origin.synthesis["voice"] == "tiny#0" and origin.synthesis["noise_w"] == 0.3
    assert 1.0 <= float(origin.synthesis["length_scale"]) <= 1.6
    assert (origin.source, origin.licence) == ("piper", "CC0-1.0")
    assert str(root) not in json.dumps(origin.synthesis) + origin.path


def test_noise_is_that_of_the_utterance_whatever_was_said_before(root: Path) -> None:
    """The voice's own generator would go on from one utterance to the next, and differ between processes."""
    config = PiperConfig(share=1.0, models=["tiny.onnx", "alone.onnx"])
    spoken = [said(root, config, who, seed=seed) for who in ("tiny#0", "alone") for seed in range(3)]
    here = [recorded(utterance).pcm.tobytes() for utterance in spoken]
    assert len(set(here)) == len(spoken)
    backwards = [recorded(utterance).pcm.tobytes() for utterance in spoken[::-1]]
    assert backwards[::-1] == here
    there = [result.pcm.tobytes() for result in ordered_map(speak, spoken, 2) if isinstance(result, Recording)]
    assert there == here


def test_noise_is_normal_and_scaled_by_the_voice(root: Path) -> None:
    """The tiny voice adds noise of 0.02 times the noise scale; 0.5 is the volume at which voices are kept."""
    deviations = []
    for scale in (0.5, 1.0):
        config = PiperConfig(share=1.0, models=["alone.onnx"], noise_scale=[scale, scale])
        utterance = said(root, config, "alone")
        samples = utterance.by.say("snowboy", "en").samples / 32767
        tone = 0.3 * np.sin(2 * np.pi * HERTZ[0] / 22_050 * np.arange(len(samples)))
        deviations.append((samples - tone).std())
    assert deviations == pytest.approx([0.5 * 0.02 * 0.5, 0.5 * 0.02 * 1.0], rel=0.03)


def test_a_text_without_sound_is_rejected(root: Path) -> None:
    result = speak(said(root, PiperConfig(share=1.0, models=["alone.onnx"]), "alone", text=""))
    assert isinstance(result, Rejection) and "by piper alone" in result.reason


@pytest.mark.parametrize(
    ("models", "speakers", "complaint"),
    [
        (["gone.onnx"], None, r"gone\.onnx is missing; put a Piper voice in ONNX there"),
        (["bare.onnx"], None, r"bare\.onnx\.json is missing; put that voice's settings in JSON there"),
        (["odd.onnx"], None, r"odd\.onnx\.json is no settings of a Piper voice"),
        (["german.onnx"], None, "speaks 'de', not 'language: en'"),
        (["tiny.onnx"], [3], "names 3; .* has 0 to 2"),
        (["alone.onnx"], [0], "every model has one speaker only"),
        (["tiny.onnx", "sub/tiny.onnx"], None, "two models 'tiny'"),
    ],
)
def test_what_is_wrong_with_a_voice_is_explained(
    root: Path, models: list[str], speakers: list[int] | None, complaint: str
) -> None:
    (root / "bare.onnx").touch()
    (root / "odd.onnx").touch()
    (root / "odd.onnx.json").write_text("{}")
    voice(root, "german", espeak={"voice": "de"})
    voice(root / "sub")
    with pytest.raises(UserError, match=complaint):
        cast(PiperConfig(share=1.0, models=models, speakers=speakers), "en", root)


def test_an_absent_package_is_an_error_with_its_remedy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"piper and onnx is missing; install it \(`uv pip install piper-tts onnx`\)"):
        cast(PiperConfig(share=1.0, models=["tiny.onnx"]), "en", root)


@pytest.mark.parametrize("broken", ["no onnx", "other noise"])
def test_a_graph_that_is_no_repeatable_voice_is_refused(root: Path, broken: str) -> None:
    name = voice(root, "broken " + broken, speakers=1, noise="Bernoulli" if broken == "other noise" else "Abs")
    if broken == "no onnx":
        (root / name).write_bytes(b"not a graph")
    with pytest.raises(UserError, match=r"is no Piper voice" if broken == "no onnx" else "can't be made repeatable"):
        speak(said(root, PiperConfig(share=1.0, models=[name]), "broken " + broken))
