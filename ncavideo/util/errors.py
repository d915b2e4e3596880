"""Errors whose text is meant for the person at the keyboard."""

# torch gives no other sign of it on a CPU, and each GPU library has its own wording.
RAN_OUT = ("out of memory", "not enough memory", "allocate memory", "alloc_failed")


class UserError(Exception):
    """Wrong usage or unusable input: one clear sentence that says what to do. Exit code 2."""


class OutputError(Exception):
    """Something failed while running, such as a full disk: one clear sentence. Exit code 1."""


class RefusedError(OutputError):
    """A library refuses what it is given, such as a muxer its packets: another try ends alike."""


class BusyError(UserError):
    """Somebody else is at work on the same output; it may be free later."""


def ran_out(error: BaseException) -> bool:
    """Return whether an error says that there is no more memory, on whatever device."""
    if isinstance(error, MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in RAN_OUT)
