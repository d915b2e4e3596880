"""The interface of writers: frames go in, and the output appears only when it is complete."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from ncavideo.video.segments import SegmentStore


class Writer(ABC):
    """Takes frames in order; `close` finishes the output, `abort` leaves no trace of it.

    `notes`: sentences that the user should read, such as a sound stream that was left out.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.checkpoint: SegmentStore | None = None

    @property
    def unwanted(self) -> bool:
        """Whether nobody takes any further frames, which a closed pipe can tell."""
        return False

    def end_segment(self, save: Callable[[int], None] | None = None) -> None:  # noqa: B027
        """Close the segment that the last frame belongs to, if there are segments.

        `save`: called with the segment's number before it is closed. A closed segment is one
        after which a render can resume, so whatever that needs has to be on disk by then.
        """

    @abstractmethod
    def write(self, rgb: np.ndarray, pts: int, duration: int | None = None) -> None:
        """Add a frame at `pts` in the source's time base.

        `[H, W, 3]`, uint8 or uint16, or `[H, W, 4]` for a writer with alpha.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish and put the output under its name. Raises `OutputError` if that fails."""

    @abstractmethod
    def abort(self) -> None:
        """Remove what has been written."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        # A block that is left without `close`, with an error or not, has not finished.
        self.abort()
