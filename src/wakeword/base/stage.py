"""What all eight stage scripts share: logging set up, bad input explained, Ctrl-C answered."""

import sys
from collections.abc import Callable

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.base.files import write_failure


def main(name: str, run: Callable[[], None]) -> None:
    """Run a stage: exit 0 when it ends well, 1 after a `UserError` (printed, no traceback), 130 after Ctrl-C.

    A full disk counts as a `UserError` wherever it strikes. Anything else is a defect of ours and keeps its traceback.
    """
    log.setup(name)
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
        sys.exit(130)
