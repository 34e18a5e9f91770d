"""What all stage scripts share: logging set up, bad input explained, Ctrl-C answered."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Never

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import write_failure

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_SCRIPTS = "stages"


def main(name: str, run: Callable[[], None]) -> None:
    """Run a stage: exit 0 when it ends well, 1 after a `UserError` (printed, no traceback), 130 after Ctrl-C.

    A full disk counts as a `UserError` wherever it strikes. Anything else is a defect of ours and keeps its traceback.
    """
    log.setup(name)
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except UserError as problem:
        for line in str(problem).splitlines():
            log.error(line)
        sys.exit(1)
    except OSError as failure:
        told = write_failure(failure, failure.filename or "a temporary file")
        if told is None:
            raise
        log.error(told)
        sys.exit(1)
    except KeyboardInterrupt:
        log.error("interrupted; nothing was half-written, run it again to go on")
        sys.exit(_INTERRUPTED)


def _leave(_signal: int, _frame: FrameType | None) -> Never:
    os.write(sys.stderr.fileno(), b"interrupted before it began; run it again\n")
    os._exit(_INTERRUPTED)


def _answer_while_importing() -> None:
    """Let Ctrl-C end a stage's script that is still importing, which takes seconds where it needs torch.

    Scripts import this module before any that is slow to load. Nothing has begun then, so nothing needs to be undone.
    """
    script = getattr(sys.modules["__main__"], "__file__", None) or ""
    is_stage = Path(script).resolve().parent.name == _SCRIPTS
    if is_stage and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


_answer_while_importing()
