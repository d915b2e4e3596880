"""When somebody was seen in a clip, for the note that nobody was."""

from __future__ import annotations

from ncavideo.util.state import Stateful

LONG = 1.0  # seconds without anybody at a clip's ends that are worth a sentence


class Presence(Stateful):
    """The times at which a network found somebody first and last."""

    state_attributes = ("_begin", "_first", "_last", "_until")

    def __init__(self, control: str) -> None:
        self._control = control
        self._begin: float | None = None  # a render may begin late in its clip
        self._first: float | None = None
        self._last: float | None = None
        self._until = 0.0

    def note(self, time: float, found: bool) -> None:
        """Take down whether somebody was found at `time`, in seconds."""
        self._begin = time if self._begin is None else self._begin
        self._until = time
        if found:
            self._first = time if self._first is None else self._first
            self._last = time

    def notes(self) -> list[str]:
        """Return what a user should know of a clip, or of a long end, without anybody."""
        if self._begin is None or self._first is None or self._last is None:
            return [f"{self._control} found nobody in the clip"]
        notes = []
        if self._first - self._begin > LONG:
            notes.append(f"{self._control} found nobody before {self._first:.1f} s")
        if self._until - self._last > LONG:
            notes.append(f"{self._control} found nobody after {self._last:.1f} s")
        return notes
