"""The one exception that a person is meant to read: what is wrong, where, and what to do about it."""


class UserError(Exception):
    """Bad input that the user can mend.

    The message names the file, key or value at fault and ends with the remedy. Stages print it
    without a traceback and exit with status 1 (see `wakeword.base.stage.main`).
    """
