"""`python -m wakeword`: the command line, where the package is not installed."""

import sys

from wakeword.runtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
