"""What all eight stage scripts share: logging set up, bad input explained, Ctrl-C answered."""

import sys
from collections.abc import Callable

from wakeword import log
from wakeword.errors import UserError


def main(name: str, run: Callable[[], None]) -> None:
    """Run a stage: exit 0 when it ends well, 1 after a `UserError` (printed, no traceback), 130 after Ctrl-C.

    Anything else is a defect of ours and keeps its traceback.
    """
    log.setup(name)
    try:
        run()
    except UserError as problem:
        for line in str(problem).splitlines():
            log.error(line)
        sys.exit(1)
    except KeyboardInterrupt:
        log.error("interrupted; nothing was half-written, run it again to go on")
        sys.exit(130)
