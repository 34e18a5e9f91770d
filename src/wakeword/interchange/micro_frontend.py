"""The features of microWakeWord and ESPHome, by the package that computes them there."""

import numpy as np
from pymicro_features import MicroFrontend

CHANNELS = 40
HOP = 160
_LEAD = 320  # a window is 480 samples long
# The front-end gives 2.5 times the natural logarithm of what it hears.
NATS = 0.4
FLOOR = 1.0  # silence is log(1)
RANGE_HZ = (125.0, 7500.0)
FRONTEND = "pymicro-features, 40 channels, nats"  # stands in a feature store for the fingerprint of a front-end


def micro_features(pcm: np.ndarray) -> np.ndarray:
    """Compute the features of a whole recording that silence precedes.

    The front-end (fixed-point filterbank, noise reduction, automatic gain) adapts to what it hears, so it has to hear
    a recording from its start.

    Args:
        pcm: `(samples,)` int16 at 16 kHz.

    Returns:
        `(samples // HOP, CHANNELS)` float32 in nats: what the package gives times `NATS`. Frame `j` sees samples
        `(j + 1) * HOP - 480` to `(j + 1) * HOP`, as our own front-end's does up to its shorter window.
    """
    frontend = MicroFrontend()
    frames = len(pcm) // HOP
    data = np.concatenate([np.zeros(_LEAD, dtype=np.int16), pcm[: frames * HOP]]).tobytes()
    rows = []
    for first in range(0, len(data), 2 * HOP):
        output = frontend.process_samples(data[first : first + 2 * HOP])
        if output.features:
            rows.append(output.features)
    return np.array(rows, dtype=np.float32).reshape(-1, CHANNELS) * np.float32(NATS)
