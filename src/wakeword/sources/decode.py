"""Reading any audio file as 16 kHz mono int16, in blocks: two hours need no more memory than a word."""

import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from wakeword.corpus.manifest import SAMPLE_RATE

RATES = (1_000, 1_000_000)
"""Sample rates in Hz between which a file is believed."""

IMPULSE_LEAD_S = 0.002
IMPULSE_PEAK = 0.9
IMPULSE_LONGEST_S = 20.0

_BLOCK_VALUES = 2**19
# Formats whose header states the length exactly; elsewhere it is an estimate, and coming up short means nothing.
_EXACT_SNDFILE = {"WAV", "WAVEX", "W64", "RF64", "AIFF", "CAF", "AU", "FLAC"}
_EXACT_FFMPEG = {"mp4", "matroska", "flac", "wav"}

Blocks = Generator[np.ndarray, None, None]


class Undecodable(Exception):
    """The file holds no usable audio; the message is the reason, in words for the person who owns the file."""


@dataclass(frozen=True)
class Audio:
    """A file being read.

    Attributes:
        rate: the file's own sample rate in Hz.
        blocks: its samples, one channel at that rate: arrays `(samples,)` float32, full scale ±1, consumed once.
    """

    rate: int
    blocks: Iterator[np.ndarray]


def read(path: Path) -> tuple[np.ndarray, int]:
    """Decode a whole file: its samples, `(samples,)` int16 at 16 kHz mono, and the file's own sample rate in Hz.

    Raises:
        Undecodable: see `pcm_blocks`.
    """
    with open_audio(path) as audio:
        return np.concatenate([np.zeros(0, np.int16), *pcm_blocks(audio)]), audio.rate


def read_impulse(path: Path) -> tuple[np.ndarray, int]:
    """Decode a room impulse response: `(samples,)` int16 at 16 kHz, and the file's own sample rate in Hz.

    The first channel is taken, what lies more than 2 ms before the peak is cut off, and the peak is scaled to 0.9 of
    full scale, so that the quiet tail keeps int16's range (an impulse response has no loudness of its own).

    Raises:
        Undecodable: as `pcm_blocks`, and if the file is silent or longer than 20 s.
    """
    with open_audio(path, first_channel=True) as audio:
        kept: list[np.ndarray] = []
        for block in _resampled(audio):
            kept.append(block)
            if sum(map(len, kept)) > IMPULSE_LONGEST_S * SAMPLE_RATE:
                raise Undecodable(f"longer than {IMPULSE_LONGEST_S:g} s, so no room impulse response")
    response = np.concatenate([np.zeros(0, np.float32), *kept])
    peak = int(np.argmax(np.abs(response))) if len(response) else 0
    if not len(response) or response[peak] == 0:
        raise Undecodable("silent, so no room impulse response")
    response = response[max(0, peak - round(IMPULSE_LEAD_S * SAMPLE_RATE)) :]
    return to_int16(response * np.float32(IMPULSE_PEAK / np.abs(response).max())), audio.rate


def pcm_blocks(audio: Audio) -> Iterator[np.ndarray]:
    """Yield the audio as blocks of int16 samples at 16 kHz; their loudness is the file's.

    Raises:
        Undecodable: damage further into the file, a NaN or infinite sample, or no sample at all.
    """
    for block in _resampled(audio):
        yield to_int16(block)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Turn float samples, full scale ±1, into int16; what lies beyond full scale is clipped."""
    return np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)


def _resampled(audio: Audio) -> Iterator[np.ndarray]:
    if audio.rate == SAMPLE_RATE:
        yield from audio.blocks
        return
    resampler = soxr.ResampleStream(audio.rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for block in audio.blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


@contextmanager
def open_audio(path: Path, first_channel: bool = False) -> Iterator[Audio]:
    """Open a file with libsndfile or, where that knows no such format, with ffmpeg's libraries.

    Args:
        path: the file.
        first_channel: take the first channel instead of the mean of all.

    Raises:
        Undecodable: it is no regular file, can't be read, is empty, or is in no format that either knows. What is
            wrong further into the file is raised while its blocks are consumed.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise Undecodable("a folder, where a file was expected")
        if not stat.S_ISREG(status.st_mode):
            raise Undecodable("no regular file")
        file = path.open("rb")
    except FileNotFoundError:
        raise Undecodable("a broken symbolic link" if path.is_symlink() else "no such file") from None
    except PermissionError:
        raise Undecodable("this user may not read it; change its permissions (`chmod u+r`)") from None
    except OSError as failure:
        raise Undecodable(f"can't be opened: {failure.strerror}") from None
    with file:
        if status.st_size == 0:
            raise Undecodable("the file is empty (0 bytes)")
        opened = _open_sndfile(file.fileno()) or _open_ffmpeg(path)
        rate, blocks = opened
        with closing(blocks):
            if not RATES[0] <= rate <= RATES[1]:
                raise Undecodable(f"its header claims a sample rate of {rate} Hz")
            yield Audio(rate, _checked(blocks, rate, first_channel))


def _checked(blocks: Iterable[np.ndarray], rate: int, first_channel: bool) -> Iterator[np.ndarray]:
    """Turn blocks `(samples, channels)` into one channel, refusing what is no number."""
    position = 0
    for block in blocks:
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            at = (position + int(np.argmin(finite))) / rate
            raise Undecodable(f"holds NaN or infinite samples (the first at {at:.3f} s)")
        position += len(block)
        yield block[:, 0].copy() if first_channel or block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    if position == 0:
        raise Undecodable("holds no samples")


def _open_sndfile(descriptor: int) -> tuple[int, Blocks] | None:
    try:
        file = soundfile.SoundFile(descriptor, closefd=False)
    except soundfile.LibsndfileError:
        return None
    return file.samplerate, _sndfile_blocks(file)


def _sndfile_blocks(file: soundfile.SoundFile) -> Blocks:
    got = 0
    with file:
        buffer = np.empty((max(256, _BLOCK_VALUES // file.channels), file.channels), np.float32)
        while True:
            try:
                block = file.read(out=buffer)
            except soundfile.LibsndfileError as failure:
                reason = failure.error_string.rstrip(".")
                raise Undecodable(f"damaged or truncated after {got / file.samplerate:.2f} s: {reason}") from None
            got += len(block)
            if len(block):
                yield block
            if len(block) < len(buffer):
                break
        if file.format in _EXACT_SNDFILE:
            _refuse_truncated(got / file.samplerate, file.frames / file.samplerate)


def _open_ffmpeg(path: Path) -> tuple[int, Blocks]:
    frames = _ffmpeg_frames(path)
    first = next(frames, None)
    if first is None:
        raise Undecodable("holds no samples")
    return first[0], _ffmpeg_blocks(first, frames)


def _ffmpeg_blocks(first: tuple[int, np.ndarray], frames: Iterator[tuple[int, np.ndarray]]) -> Blocks:
    rate = first[0]
    yield first[1]
    for now, block in frames:
        if now != rate:
            raise Undecodable(f"its sample rate changes from {rate} to {now} Hz")
        yield block


def _ffmpeg_frames(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (rate, samples `(samples, channels)` float32). Only a frame tells HE-AAC's true rate."""
    import av  # slow to load, and most files never need it

    got = 0.0
    try:
        # A playlist may name web addresses or other files: `file:` and the whitelist keep a file from fetching any.
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            if not container.streams.audio:
                raise Undecodable("holds no audio track")
            stream = container.streams.audio[0]
            planar = av.AudioResampler(format="fltp")
            for frame in container.decode(stream):
                for part in planar.resample(frame):
                    got += part.samples / part.sample_rate
                    yield part.sample_rate, np.ascontiguousarray(part.to_ndarray().T)
            if stream.duration and stream.time_base and not _EXACT_FFMPEG.isdisjoint(container.format.name.split(",")):
                _refuse_truncated(got, float(stream.duration * stream.time_base))
    except (av.FFmpegError, OSError, ValueError) as failure:
        if got:
            raise Undecodable(f"damaged or truncated after {got:.2f} s: {_strerror(failure)}") from None
        raise Undecodable(f"neither libsndfile nor ffmpeg can read it as audio ({_strerror(failure)})") from None


def _refuse_truncated(got_s: float, promised_s: float) -> None:
    # Codecs pad and trim by some milliseconds; a file cut short lacks more.
    if got_s < promised_s - max(0.1, 0.001 * promised_s):
        raise Undecodable(f"truncated: its header promises {promised_s:.2f} s, {got_s:.2f} s are there")


def _strerror(failure: Exception) -> str:
    return str(getattr(failure, "strerror", None) or failure)
