"""Errors whose text is meant for the person at the keyboard."""


class UserError(Exception):
    """Wrong usage or unusable input: one clear sentence that says what to do. Exit code 2."""


class OutputError(Exception):
    """Something failed while running, such as a full disk: one clear sentence. Exit code 1."""


class BusyError(UserError):
    """Somebody else is at work on the same output; it may be free later."""
