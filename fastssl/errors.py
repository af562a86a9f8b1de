"""The one exception a user is meant to read."""


class InputError(ValueError):
    """Bad input that a user can mend: a missing file, an unknown name, an impossible option.

    The message is one line that names the field, its value and the fix. The command line prints it
    without a traceback and exits 1; library users catch it as the `ValueError` it is.
    """
