import os
import struct
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from tests.sounds import RATE, tone, word, write
from wakeword.sources.decode import Undecodable, open_audio, pcm_blocks, read, read_impulse, to_int16


def write_aac(path: Path, samples: np.ndarray, rate: int) -> Path:
    """Write `(n, 2)` floats as AAC, which libsndfile can't read."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="stereo")
        for start in range(0, len(samples), 1024):
            part = np.ascontiguousarray(samples[start : start + 1024].T.astype(np.float32))
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_g722_which_has_no_header_is_known_by_its_name(tmp_path: Path) -> None:
    sound = word(1.0, 1)
    path = tmp_path / "prompt.g722"
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(to_int16(sound)[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    heard, rate = read(path)
    assert rate == RATE and len(heard) == pytest.approx(RATE, abs=400)
    # It comes 22 samples later, as its two bands are filtered, and what lies near 4 and 8 kHz suffers.
    assert np.corrcoef(heard[22:15000], sound[: 15000 - 22])[0, 1] > 0.9


def refusal(path: Path) -> str:
    with pytest.raises(Undecodable) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_16_khz_mono_is_read_bit_for_bit(tmp_path: Path, name: str) -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32768, size=70_001).astype(np.int16)
    read_pcm, rate = read(write(tmp_path / name, pcm))
    assert rate == RATE
    assert read_pcm.dtype == np.int16
    np.testing.assert_array_equal(read_pcm, pcm)


@pytest.mark.parametrize(
    ("rate", "name", "subtype", "channels"),
    [
        (8_000, "a.wav", "PCM_U8", 1),
        (11_025, "a.wav", "PCM_24", 2),
        (22_050, "a.ogg", "VORBIS", 1),
        (44_100, "a.mp3", None, 2),
        (44_100, "a.wav", "FLOAT", 3),
        (48_000, "a.flac", "PCM_24", 6),
        (48_000, "a.ogg", "OPUS", 2),
        (96_000, "a.wav", "DOUBLE", 8),
        (192_000, "a.aiff", "PCM_16", 1),
    ],
)
def test_a_tone_keeps_pitch_level_and_length_at_any_rate(
    tmp_path: Path, rate: int, name: str, subtype: str | None, channels: int
) -> None:
    samples = np.tile(tone(2.0, rate)[:, None], (1, channels))
    pcm, origin_rate = read(write(tmp_path / name, samples, rate, subtype))
    assert origin_rate == rate
    assert abs(len(pcm) - 2 * RATE) <= 0.06 * RATE  # lossy codecs pad
    inner = pcm[RATE // 2 : RATE // 2 + RATE] / 32768
    spectrum = np.abs(np.fft.rfft(inner))
    assert int(np.argmax(spectrum)) == 440  # exactly one second, so bin = Hz
    assert np.sqrt(2 * np.mean(inner**2)) == pytest.approx(0.5, rel=0.02)
    if name == "a.wav" and subtype != "PCM_U8":
        np.testing.assert_allclose(pcm[800:-800] / 32768, tone(2.0)[800:-800], atol=2e-3)
        assert len(pcm) == 2 * RATE


def test_resampling_agrees_with_scipy(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    slow = resample_poly(rng.standard_normal(20_000), 4, 1) * 0.1  # no energy near the new Nyquist frequency
    pcm, _ = read(write(tmp_path / "a.wav", slow, 48_000, "DOUBLE"))
    np.testing.assert_allclose(pcm[500:-500] / 32768, resample_poly(slow, 1, 3)[500 : len(pcm) - 500], atol=1e-3)


def test_channels_are_averaged_and_full_scale_is_clipped(tmp_path: Path) -> None:
    stereo = np.zeros((4000, 2))
    stereo[:, 0] = 0.5
    pcm, _ = read(write(tmp_path / "a.wav", stereo, subtype="FLOAT"))
    assert set(pcm.tolist()) == {8192}
    assert to_int16(np.array([-1.5, -1.0, 0.99999, 1.0, 3.0], np.float32)).tolist() == [
        -32768,
        -32768,
        32767,
        32767,
        32767,
    ]


def test_what_libsndfile_does_not_know_goes_through_ffmpeg(tmp_path: Path) -> None:
    samples = np.stack([tone(2.0, 44_100), np.zeros(88_200)], axis=1)
    pcm, rate = read(write_aac(tmp_path / "with spaces 'n' ü.m4a", samples, 44_100))
    assert rate == 44_100
    assert len(pcm) == pytest.approx(2 * RATE, abs=0.1 * RATE)
    assert np.sqrt(2 * np.mean((pcm[RATE // 2 : -RATE // 2] / 32768) ** 2)) == pytest.approx(0.25, rel=0.05)


def test_a_truncated_or_damaged_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).standard_normal(4 * RATE) * 0.1
    flac = write(tmp_path / "a.flac", noise)
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    assert "truncated" in refusal(flac)
    m4a = write_aac(tmp_path / "a.m4a", np.stack([noise, noise], axis=1), RATE)
    m4a.write_bytes(m4a.read_bytes()[: m4a.stat().st_size // 2])
    assert "neither libsndfile nor ffmpeg" in refusal(m4a)


def test_what_is_no_audio_is_refused_with_its_reason(tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("This is not a recording.\n" * 50)
    assert "neither libsndfile nor ffmpeg can read it as audio" in refusal(text)
    empty = tmp_path / "empty.wav"
    empty.touch()
    assert "0 bytes" in refusal(empty)
    assert "no samples" in refusal(write(tmp_path / "none.wav", np.zeros(0)))
    (tmp_path / "folder.wav").mkdir()
    assert "a folder" in refusal(tmp_path / "folder.wav")
    assert "no such file" in refusal(tmp_path / "missing.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "gone.wav")
    assert "broken symbolic link" in refusal(tmp_path / "link.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    assert "no regular file" in refusal(tmp_path / "pipe.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_where_they_stand(tmp_path: Path, value: float) -> None:
    samples = np.zeros((48_000, 2))
    samples[24_000, 1] = value
    assert "NaN or infinite samples (the first at 0.500 s)" in refusal(
        write(tmp_path / "a.wav", samples, 48_000, "FLOAT")
    )


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.wav", tone(1.0))
    if os.geteuid() == 0:  # root reads everything

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    else:
        path.chmod(0)
    assert "may not read it" in refusal(path)


def test_a_playlist_fetches_nothing(tmp_path: Path) -> None:
    write(tmp_path / "secret.wav", tone(1.0))
    playlist = tmp_path / "list.wav"
    playlist.write_text("ffconcat version 1.0\nfile http://127.0.0.1:9/a.wav\n")
    assert refusal(playlist)


def test_an_impossible_sample_rate_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(1.0))
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", 1)
    path.write_bytes(content)
    assert "sample rate of 1 Hz" in refusal(path)


def test_a_name_that_is_no_utf8_can_be_opened(tmp_path: Path) -> None:
    for original in (
        write(tmp_path / "a.wav", tone(0.5)),
        write_aac(tmp_path / "b.m4a", np.stack([tone(1.0)] * 2, 1), RATE),
    ):
        strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \"quoted\" 'single'" + original.suffix.encode()))
        original.rename(strange)
        assert len(read(strange)[0]) >= RATE // 2


def test_damage_of_any_kind_gives_samples_or_a_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for original in (write(tmp_path / "a.wav", tone(0.2)), write(tmp_path / "a.flac", tone(0.2))):
        whole = np.frombuffer(original.read_bytes(), np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            where = rng.integers(min(len(whole), 200) if rng.random() < 0.7 else len(whole), size=4)
            damaged[where] = rng.integers(256, size=4)
            path = tmp_path / f"damaged{original.suffix}"
            path.write_bytes(damaged[: rng.integers(1, len(damaged) + 1)].tobytes())
            try:
                pcm, _ = read(path)
            except Undecodable as reason:
                assert str(reason)
            else:
                assert pcm.dtype == np.int16


def test_an_impulse_response_is_cut_before_its_peak_and_scaled(tmp_path: Path) -> None:
    decay = 0.01 * np.exp(-np.arange(4000) / 800) * np.random.default_rng(4).standard_normal(4000)
    response = np.concatenate([np.zeros(1000), [0.05], decay])
    other = np.full_like(response, 0.9)
    pcm, rate = read_impulse(write(tmp_path / "a.wav", np.stack([response, other], axis=1), subtype="FLOAT"))
    assert rate == RATE
    assert len(pcm) == len(response) - 1000 + 32  # 2 ms are 32 samples
    assert int(np.argmax(np.abs(pcm))) == 32
    assert pcm[32] == round(0.9 * 32768)
    np.testing.assert_allclose(pcm[33:] / pcm[32], decay / 0.05, atol=1e-4)


def test_silence_or_minutes_are_no_impulse_response(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="silent"):
        read_impulse(write(tmp_path / "a.wav", np.zeros(1000)))
    with pytest.raises(Undecodable, match="longer than 20 s"):
        read_impulse(write(tmp_path / "b.wav", tone(21.0)))


def test_two_hours_are_decoded_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    samples = 2 * 3600 * 8000
    with path.open("wb") as file:  # zeros that take no room on disk
        soundfile.write(file, np.zeros(0), 8000, format="WAV", subtype="PCM_U8")
    header = bytearray(path.read_bytes())
    at = header.index(b"data") + 4
    header[at : at + 4] = struct.pack("<I", samples)
    header[4:8] = struct.pack("<I", len(header) - 8 + samples)
    path.write_bytes(header)
    os.truncate(path, len(header) + samples)
    tracemalloc.start()
    try:
        with open_audio(path) as audio:
            total = sum(len(block) for block in pcm_blocks(audio))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 2 * samples
    assert most < 40e6
