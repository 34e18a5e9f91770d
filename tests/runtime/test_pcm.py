import numpy as np
import pytest

from wakeword.runtime.pcm import Layout


@pytest.mark.parametrize(
    ("width", "audio"),
    [
        (1, bytes([0, 64, 128, 192])),
        (2, bytes([0, 0x80, 0, 0xC0, 0, 0, 0, 0x40])),
        (3, bytes([0, 0, 0x80, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0x40])),
        (4, bytes([0, 0, 0, 0x80, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0x40])),
    ],
)
def test_full_scale_is_one_in_every_width(width: int, audio: bytes) -> None:
    np.testing.assert_array_equal(Layout(16_000, width, 1).samples(audio), np.float32([-1.0, -0.5, 0.0, 0.5]))


@pytest.mark.parametrize("width", [2, 3, 4])
def test_the_lowest_byte_counts(width: int) -> None:
    least = np.float32(2.0 ** (1 - 8 * width))
    np.testing.assert_array_equal(
        Layout(8_000, width, 1).samples(bytes([1, *bytes(width - 1)]) + b"\xff" * width), [least, -least]
    )


def test_channels_are_averaged() -> None:
    layout = Layout(48_000, 2, 2)
    audio = np.array([[16384, 0], [-32768, -32768], [100, -100]], dtype="<i2").tobytes()
    assert layout.frame_bytes == 4
    np.testing.assert_array_equal(layout.samples(audio), np.float32([0.25, -1.0, 0.0]))
    assert len(layout.samples(b"")) == 0


@pytest.mark.parametrize(
    ("rate", "width", "channels", "reason"),
    [
        (16_001, 2, 1, "rate is 16001; it must be one of 8000, 11025"),
        (16_000.0, 2, 1, r"rate is 16000\.0"),
        (16_000, 5, 1, "width is 5; it must be one of 1, 2, 3, 4"),
        (16_000, 2, 0, "channels is 0"),
        (16_000, 2, True, "channels is True"),
    ],
)
def test_what_cannot_be_converted_is_named(rate: int, width: int, channels: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Layout(rate, width, channels)
