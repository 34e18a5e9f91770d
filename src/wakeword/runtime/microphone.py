"""The microphone, through the sounddevice package (`pip install 'wakeword[mic]'`)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from wakeword.runtime.resample import SAMPLE_RATE, Resampler, to_mono

try:
    import sounddevice
except ModuleNotFoundError:
    raise
except Exception as failure:  # the package is there; the library that it wraps is not, or finds no sound system
    raise OSError(f"{failure}; check PortAudio (on Debian and Ubuntu the package libportaudio2)") from failure

_CHUNK_S = 0.08


def devices() -> str:
    """Return a line for each device that can record: index, name, channels and usual rate; `*` marks the default.

    Raises:
        ValueError: there is none.
    """
    default = sounddevice.default.device[0]
    lines = [
        f"{'*' if index == default else ' '} {index:3d}  {device['name']}  "
        f"({device['max_input_channels']} channels, {device['default_samplerate']:.0f} Hz)"
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    ]
    if not lines:
        raise ValueError("no microphone was found; connect one and try again")
    return "\n".join(lines)


@contextmanager
def opened(device: str | None = None) -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    """Open a microphone; the context is its name and its sound, `(samples,)` float32 at 16 kHz in chunks of 80 ms.

    A device that does not offer 16 kHz or one channel is recorded as it can be, and resampled and mixed here.

    Args:
        device: index, or a part of the name; None for the system's default.

    Raises:
        ValueError: there is no such microphone, or it cannot be opened.
    """
    chosen = int(device) if device is not None and device.isdecimal() else device
    found = _found(chosen)
    try:
        rate, channels = _format(chosen, found)
        with sounddevice.InputStream(
            samplerate=rate, device=chosen, channels=channels, dtype="float32", latency="high"
        ) as stream:
            yield found["name"], _chunks(stream, rate, found["name"])
    except sounddevice.PortAudioError as failure:
        raise ValueError(f"the microphone '{found['name']}' gave no sound: {failure}") from failure


def _found(device: str | int | None) -> Any:
    try:
        found = sounddevice.query_devices(device, "input")
    except (ValueError, sounddevice.PortAudioError) as failure:
        which = "no microphone was found" if device is None else f"there is no microphone '{device}'"
        raise ValueError(f"{which} ({failure}); see `wakeword listen --list-devices`") from failure
    return found


def _format(device: str | int | None, found: Any) -> tuple[int, int]:
    """Return the rate and the channels to record: what is nearest to 16 kHz mono of what the device can do."""
    usual, most = round(found["default_samplerate"]), found["max_input_channels"]
    wishes = [(SAMPLE_RATE, 1), (usual, 1), (SAMPLE_RATE, most), (usual, most)]
    for rate, channels in wishes:
        try:
            sounddevice.check_input_settings(device=device, channels=channels, dtype="float32", samplerate=rate)
        except sounddevice.PortAudioError:
            continue
        return rate, channels
    return wishes[-1]  # opening it tells the reason


def _chunks(stream: Any, rate: int, name: str) -> Iterator[np.ndarray]:
    resampler, warned = Resampler(rate), False
    while True:
        block, overflowed = stream.read(round(_CHUNK_S * rate))
        if overflowed and not warned:
            logging.getLogger(__name__).warning("sound of '%s' was lost: this machine does not keep up", name)
            warned = True
        yield resampler.process(to_mono(block))
