"""Recordings of any sample rate and channel count, as a detector takes them."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from wakeword.runtime.resample import Resampler, to_mono


def read_audio(path: Path) -> Iterator[np.ndarray]:
    """Yield a recording as 16 kHz mono float32 chunks of about a second; channels are averaged.

    Raises:
        ValueError: the file is missing, or not audio that libsndfile can read; the message names it.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file" if path.exists() else "missing"
        raise ValueError(f"{path} is {kind}; name an audio file")
    try:
        with _opened(path) as file:
            resampler = Resampler(file.samplerate)
            for block in file.blocks(blocksize=file.samplerate, dtype="float32", always_2d=True):
                yield resampler.process(to_mono(block))
            yield resampler.finish()
    except soundfile.LibsndfileError as failure:
        raise ValueError(
            f"{path} cannot be read as audio: {failure.error_string} Convert it to WAV or FLAC."
        ) from failure
    except ValueError as failure:
        raise ValueError(f"{path}: {failure}") from failure


def _opened(path: Path) -> soundfile.SoundFile:
    # It encodes names itself and refuses those that are no UTF-8; on Windows it wants them as text.
    name = str(path) if os.name == "nt" else os.fsencode(path)
    try:
        return soundfile.SoundFile(name)
    except TypeError as failure:  # it takes every .raw for samples without a header, and asks for their rate
        raise ValueError("a .raw file does not say its sample rate; convert it to WAV or FLAC") from failure
