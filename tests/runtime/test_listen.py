"""Listening, with sounds in the place of a microphone and a module in the place of the sounddevice package."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.export.networks import noise, trained, with_policy
from wakeword.runtime.cli import main
from wakeword.runtime.detector import Detector
from wakeword.runtime.listen import listen


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def chunks(pcm: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(pcm), 1280):
        yield pcm[start : start + 1280].astype(np.float32) / 32768
    raise KeyboardInterrupt


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    detector, pcm = Detector(with_policy(trained())), noise(5.0)
    listen(detector, "the test", chunks(pcm))
    out, err = capsys.readouterr()
    assert err == "listening to the test for “phrase 0”; Ctrl-C ends\n"
    told = [line.split("  ")[1:] for line in out.splitlines()]
    assert told == [[d.phrase, f"{d.score:.3f}"] for d in Detector(with_policy(trained())).process(pcm)] != []


def test_json_lines_name_the_model_where_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    models, pcm = [with_policy(trained()), with_policy(trained(phrases=2, seed=1))], noise(5.0)
    listen(Detector(models), "the test", chunks(pcm), as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = [(d.phrase, round(d.time_s, 3), round(d.score, 4), d.model) for d in Detector(models).process(pcm)]
    assert [(row["phrase"], row["time_s"], row["score"], row["model"]) for row in rows] == expected != []


def test_a_terminal_gets_a_meter_that_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    detector = Detector(with_policy(trained()))
    listen(detector, "the test", chunks(noise(1.0)))
    drawn = terminal.getvalue().split("\n")[1].split("\r")
    assert all(line.endswith("\x1b[K") for line in drawn[1:]) and drawn[-1] == "\x1b[K"
    meters = [line for line in drawn if "level" in line]
    assert len(meters) == 13 and all(" dB  phrase 0 " in line for line in meters)
    assert f"{detector.latest[0]:.2f}\x1b[K" in meters[-1]


class PortAudioError(Exception):
    pass


class Sounddevice(ModuleType):
    """As much of the package as is used: one device of 44.1 kHz stereo, that plays back a sound, and a loudspeaker."""

    PortAudioError = PortAudioError

    def __init__(self, sound: np.ndarray, works: bool = True, microphones: int = 1) -> None:
        super().__init__("sounddevice")
        self.sound, self.works = sound, works
        names = ["loudspeaker", *["USB microphone"] * microphones]
        self.all: list[dict[str, Any]] = [
            {"name": name, "max_input_channels": 2 * bool(index), "default_samplerate": 44_100.0}
            for index, name in enumerate(names)
        ]
        self.default = type("default", (), {"device": (1, 0)})

    def query_devices(self, device: str | int | None = None, kind: str | None = None) -> Any:
        if kind is None:
            return self.all
        found = (
            self.all[1:]
            if device is None
            else [one for index, one in enumerate(self.all) if device == index or str(device) in one["name"]]
        )
        if not found or not found[0]["max_input_channels"]:
            raise ValueError(f"No input device matching {device!r}") if device else PortAudioError("device -1")
        return found[0]

    def check_input_settings(self, device: Any, channels: int, dtype: str, samplerate: float) -> None:
        if (channels, samplerate) != (2, 44_100):
            raise PortAudioError("Invalid sample rate")

    def InputStream(self, samplerate: int, channels: int, **_: Any) -> "Sounddevice":
        if not self.works and not len(self.sound):
            raise PortAudioError("Device unavailable")
        assert (samplerate, channels) == (44_100, 2)
        return self

    def __enter__(self) -> "Sounddevice":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, frames: int) -> tuple[np.ndarray, bool]:
        if not len(self.sound):
            raise KeyboardInterrupt if self.works else PortAudioError("Device unavailable")
        block, self.sound = self.sound[:frames], self.sound[frames:]
        return np.stack([block, block], axis=1), True


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.onnx"
    path.write_bytes(with_policy(trained()))
    return str(path)


def run(monkeypatch: pytest.MonkeyPatch, package: ModuleType | None, *arguments: str) -> int:
    monkeypatch.setitem(sys.modules, "sounddevice", package)
    monkeypatch.delitem(sys.modules, "wakeword.runtime.microphone", raising=False)
    try:
        return main(["listen", *arguments])
    finally:
        sys.modules.pop("wakeword.runtime.microphone", None)


def test_a_device_without_16_khz_mono_is_resampled_and_mixed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    model: str,
) -> None:
    """A tone stays the tone that it is: its scores are those of the tone made at 16 kHz."""
    sound, expected = (np.sin(2 * np.pi * 440 * np.arange(3 * rate) / rate) / 4 for rate in (44_100, 16_000))
    arguments = ["--model", model, "--json", "--device", "USB"]
    assert run(monkeypatch, Sounddevice(sound.astype(np.float32)), *arguments) == 0
    out, err = capsys.readouterr()
    assert "listening to USB microphone" in err
    rows = [json.loads(line)["time_s"] for line in out.splitlines()]
    np.testing.assert_allclose(rows, [d.time_s for d in Detector(model).process(expected)], atol=0.05)
    assert len(rows) > 0
    assert [record.getMessage() for record in caplog.records] == [
        "sound of 'USB microphone' was lost: this machine does not keep up"
    ]


def test_devices_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, Sounddevice(np.zeros(0), microphones=2), "--list-devices") == 0
    assert capsys.readouterr().out.splitlines() == [
        "*   1  USB microphone  (2 channels, 44100 Hz)",
        "    2  USB microphone  (2 channels, 44100 Hz)",
    ]


def test_what_is_missing_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    silent, none = Sounddevice(np.zeros(0), works=False), Sounddevice(np.zeros(0), microphones=0)
    unplugged = Sounddevice(np.zeros(9999), works=False)
    cases = [
        (None, [], "pip install 'wakeword[mic]'"),
        (none, [], "no microphone was found"),
        (none, ["--list-devices"], "no microphone was found"),
        (silent, ["--device", "Bluetooth"], "there is no microphone 'Bluetooth'"),
        (silent, ["--device", "0"], "there is no microphone '0'"),
        (silent, ["--device", "1"], "'USB microphone' gave no sound: Device unavailable"),
    ]
    for package, arguments, reason in cases:
        assert run(monkeypatch, package, "--model", model, *arguments) == 1
        out, err = capsys.readouterr()
        assert out == "" and reason in err and len(err.splitlines()) == 1
    assert run(monkeypatch, unplugged, "--model", model) == 1
    assert "'USB microphone' gave no sound: Device unavailable" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("error", ["OSError('PortAudio library not found')", "Exception('no sound system')"])
def test_a_library_that_does_not_work_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, error: str
) -> None:
    (tmp_path / "sounddevice.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("sounddevice", "wakeword.runtime.microphone"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(["listen"]) == 1
    err = capsys.readouterr().err
    assert error.split("'")[1] + "; check PortAudio" in err and len(err.splitlines()) == 1
