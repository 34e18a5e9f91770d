"""Raw PCM bytes, as a peer on a network announces them, to samples."""

from dataclasses import dataclass

import numpy as np

from wakeword.runtime.resample import to_mono

# Only these, because the filters of other rates can be large, and strangers could ask for a thousand of them.
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000)
WIDTHS = (1, 2, 3, 4)
CHANNELS = (1, 2, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class Layout:
    """How audio is laid out: interleaved little-endian integers, unsigned if of one byte and signed if of more.

    Attributes:
        rate: in Hz.
        width: bytes a sample.
        channels: how many.

    Raises:
        ValueError: a value is none that can be converted; the message names it and what can be.
    """

    rate: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        for name, allowed in {"rate": RATES, "width": WIDTHS, "channels": CHANNELS}.items():
            value = getattr(self, name)
            if type(value) is not int or value not in allowed:
                raise ValueError(f"the audio's {name} is {value!r:.40}; it must be one of {str(allowed)[1:-1]}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.width * self.channels

    def samples(self, audio: bytes) -> np.ndarray:
        """Return the mean of the channels, `(samples,)` float32 with full scale at 1, of whole frames."""
        values: np.ndarray
        if self.width == 1:
            values = np.frombuffer(audio, dtype=np.uint8).astype(np.float32) / 128 - 1
        elif self.width == 3:
            # Three bytes become the upper ones of four.
            padded = np.zeros((len(audio) // 3, 4), dtype=np.uint8)
            padded[:, 1:] = np.frombuffer(audio, dtype=np.uint8).reshape(-1, 3)
            values = padded.view("<i4")[:, 0].astype(np.float32) / 2**31
        else:
            values = np.frombuffer(audio, dtype=f"<i{self.width}").astype(np.float32) / 2 ** (8 * self.width - 1)
        return to_mono(values.reshape(-1, self.channels))
