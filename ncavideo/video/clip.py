"""One object for a clip: what is asked of it more than once is found out once."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.identity import identity
from ncavideo.video.fields import DEINTERLACE
from ncavideo.video.numbered import clip_files, is_sequence
from ncavideo.video.pipe_in import PipeIn
from ncavideo.video.reader import VideoReader
from ncavideo.video.survey import clip_length, survey


class Clip:
    """A clip's file, handed on through a render or a preview.

    Its properties are found out when they are first asked for, and kept. All raise `UserError` for
    a file that cannot be read or is no clip.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def identity(self) -> str:
        """A text that changes with the file's content: see `ncavideo.util.identity`."""
        files = "|".join(map(file_identity, clip_files(self.path)))
        return f"{self.path.name} {files}" if is_sequence(self.path) else files

    def watch_for_another(self) -> Callable[[], None]:
        """Return a check that no other file took the place of one of the clip's since then.

        The check raises `OutputError`: the frames would be of one clip, and what is copied beside
        them of another. A file that is gone is left to whoever still needs it, and one that grows
        is still the same. Some network file systems number a file anew each time it is asked for:
        then its size or time has to differ too.
        """
        before = _status(self.path)

        def check() -> None:
            for then, now in zip(before, _status(self.path), strict=False):
                moved = (then.st_dev, then.st_ino) != (now.st_dev, now.st_ino)
                changed = (then.st_size, then.st_mtime_ns) != (now.st_size, now.st_mtime_ns)
                if moved and changed:
                    said = f"{self.path} was replaced while it was rendered: render it again"
                    raise OutputError(said)

        return check

    @cached_property
    def sample(self) -> list[np.ndarray]:
        """Some small RGB frames `[h, w, 3]`, uint8, from all over the clip."""
        return survey(self.path)

    @cached_property
    def length(self) -> float:
        """The seconds from the first frame to the end of the last."""
        return clip_length(self.path)

    def read(
        self,
        start: float | None = None,
        duration: float | None = None,
        fields: str = DEINTERLACE,
        pipe: PipeIn | None = None,
    ) -> VideoReader:
        """Open the clip, or `duration` seconds of it from `start` on, for reading once.

        `fields`: see `video.deinterlace`; `pipe`: standard input, in place of the file.
        """
        path = self.path if pipe is None else pipe.path
        return VideoReader(path, start=start, duration=duration, fields=fields, pipe=pipe)


def _status(path: Path) -> list[os.stat_result]:
    try:
        return [file.stat() for file in clip_files(path)]
    except (OSError, UserError):
        return []


def file_identity(path: Path) -> str:
    """Return the identity of a file that a render reads. Raises `UserError` if it is not there."""
    try:
        return identity(path)
    except OSError as error:
        raise UserError(f"cannot open {path}: {error.strerror}") from error
