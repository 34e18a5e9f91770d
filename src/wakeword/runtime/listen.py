"""Listening to a live stream: a line for each detection, and on a terminal a meter below."""

import shutil
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import TextIO

import numpy as np

from wakeword.runtime.detector import Detection, Detector
from wakeword.runtime.meter import level_db, meter
from wakeword.runtime.output import to_json

_WIPE = "\r\x1b[K"


def listen(detector: Detector, name: str, chunks: Iterable[np.ndarray], as_json: bool = False) -> None:
    """Print what is detected until the stream or the user's patience ends; Ctrl-C is the way to end it.

    Detections go to standard output; everything else goes to standard error, the meter only if that is a terminal.

    Args:
        detector: takes the chunks.
        name: of the source, to tell the user.
        chunks: `(samples,)` float32 at 16 kHz.
        as_json: print one JSON object a detection.
    """
    screen = sys.stderr if sys.stderr.isatty() else None
    phrases = ", ".join(f"“{phrase}”" for phrase in detector.phrases)
    _say(sys.stderr, f"listening to {name} for {phrases}; Ctrl-C ends")
    several = len(detector.models) > 1
    try:
        for chunk in chunks:
            for found in detector.process(chunk):
                if screen:
                    screen.write(_WIPE)
                print(_told(found, several, as_json), flush=True)
            if screen:
                _draw(screen, chunk, detector)
    except KeyboardInterrupt:
        pass
    finally:
        if screen:
            screen.write(_WIPE)


def _told(found: Detection, several: bool, as_json: bool) -> str:
    now = datetime.now().astimezone()
    if not as_json:
        line = f"{now:%H:%M:%S}  {found.phrase}  {found.score:.3f}"
        return f"{line}  {found.model}" if several else line
    values = {
        "time": now.isoformat(timespec="milliseconds"),
        "phrase": found.phrase,
        "time_s": round(found.time_s, 3),
        "score": round(found.score, 4),
    }
    return to_json(values | ({"model": found.model} if several else {}))


def _draw(screen: TextIO, chunk: np.ndarray, detector: Detector) -> None:
    scores = dict(zip(detector.phrases, map(float, detector.latest), strict=True))
    plain = not (screen.encoding or "").lower().startswith("utf")
    columns = shutil.get_terminal_size().columns - 1
    screen.write("\r" + meter(level_db(chunk), scores, columns, plain) + "\x1b[K")
    screen.flush()


def _say(stream: TextIO, text: str) -> None:
    """Print what may hold any character to a stream that may not."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, errors="replace").decode(encoding), file=stream, flush=True)
