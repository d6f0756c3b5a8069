"""The one error that a user can cause: wrong input, said in one line."""


class InputError(ValueError):
    """Wrong input. The message says what is wrong, where, and what would do, in one line.

    The command line prints it without a traceback and exits with code 2.
    """
