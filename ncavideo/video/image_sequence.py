"""An output of numbered pictures, which appear under their names together."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import os
import shutil
from pathlib import Path

import numpy as np

from ncavideo.util.atomic_write import hidden_sibling, publish
from ncavideo.util.errors import OutputError, UserError
from ncavideo.video.numbered import is_numbered, numbered
from ncavideo.video.writer import Writer


class PictureWriter(Writer):
    """Writes numbered PNG pictures, 8 or 16 bits deep, counted from 1.

    They grow in a hidden sibling folder and move into place together at the end.
    """

    def __init__(self, pattern: Path, overwrite: bool) -> None:
        super().__init__()
        if not is_numbered(pattern):
            raise UserError(f"{pattern.name} needs a place for the number: as frame_%05d.png")
        self._pattern, self._overwrite, self._count = pattern, overwrite, 0
        if os.path.lexists(self._name(1)) and not overwrite:
            raise UserError(f"{self._name(1)} exists: name another output or give --overwrite")
        folder = hidden_sibling(pattern.absolute(), ".part")
        try:
            folder.mkdir(0o700)
        except OSError as error:
            raise OutputError(f"cannot write {pattern}: {error.strerror}") from error
        self._folder: Path | None = folder

    def _name(self, number: int) -> Path:
        return numbered(self._pattern, number)

    def write(self, rgb: np.ndarray, pts: int, duration: int | None = None) -> None:
        """Write one picture; its time is not kept."""
        import cv2

        assert self._folder is not None
        self._count += 1
        done, data = cv2.imencode(".png", rgb[..., [2, 1, 0, 3][: rgb.shape[2]]])
        if not done:
            raise OutputError(f"{self._name(self._count)} could not be encoded")
        try:
            (self._folder / str(self._count)).write_bytes(data.tobytes())
        except OSError as error:
            raise OutputError(f"cannot write {self._pattern}: {error.strerror}") from error

    def close(self) -> None:
        """Move the pictures into place."""
        if self._folder is None:
            return
        try:
            names = [self._name(number) for number in range(1, self._count + 1)]
            taken = [] if self._overwrite else self._taken(names)
            if taken:
                kept = self._kept()
                raise OutputError(
                    f"{taken[0]} appeared meanwhile and is left alone: the finished pictures are in"
                    f" {kept}"
                )
            # The first comes last: where it is, all are, however this ends.
            for number, name in reversed(list(enumerate(names, start=1))):
                if self._overwrite or not os.path.lexists(name):
                    publish(self._folder / str(number), name, self._overwrite)
        except OSError as error:
            raise OutputError(f"cannot write {self._pattern}: {error.strerror}") from error
        finally:
            self.abort()

    def _taken(self, names: list[Path]) -> list[Path]:
        """Return the names that hold anything but the very picture which belongs there.

        That is the same render's, killed while it moved its pictures.
        """
        assert self._folder is not None
        return [
            name
            for number, name in enumerate(names, start=1)
            if os.path.lexists(name) and not _same_bytes(name, self._folder / str(number))
        ]

    def _kept(self) -> Path:
        """Move the pictures, under their names, into a folder that was not there; return it."""
        assert self._folder is not None
        made = self._folder
        for number in range(1, self._count + 1):
            (made / str(number)).rename(made / self._name(number).name)
        for number in itertools.count(2):
            folder = self._pattern.with_name(f"{self._pattern.stem.partition('%')[0]}-{number}")
            with contextlib.suppress(OSError):  # it is there, and not empty
                if not os.path.lexists(folder):
                    made.rename(folder)
                    self._folder = None
                    return folder
        raise AssertionError  # numbers do not end

    def abort(self) -> None:
        """Remove the hidden folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _same_bytes(one: Path, other: Path) -> bool:
    try:
        return not one.is_symlink() and one.is_file() and filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
