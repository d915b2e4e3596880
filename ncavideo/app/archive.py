"""Several finished clips as one archive."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from ncavideo.util.atomic_write import replacing
from ncavideo.util.errors import OutputError, UserError

PIECE = 1 << 20  # bytes that are copied at once
EVERY = 0.2  # seconds between two pieces of news


class Archive:
    """A zip of `clips`, which is `output` when it is complete.

    The clips are stored as they are: compression would not make them smaller.
    """

    def __init__(self, clips: Sequence[Path], output: Path) -> None:
        self._clips, self.output = clips, output
        self.count = 0  # clips that are in it
        self._stopped = False

    def stop(self) -> None:
        """Leave it unfinished."""
        self._stopped = True

    def write(self) -> Iterator[tuple[int, int]]:
        """Write it, and yield now and then how many bytes are written, of about how many.

        A clip that is no longer there is left out. Raises `UserError` if none is, or if it was
        stopped, and `OutputError` if it cannot be written.
        """
        try:
            yield from self._written()
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"cannot write {self.output.name}: {reason}") from error

    def _written(self) -> Iterator[tuple[int, int]]:
        total = sum(path.stat().st_size for path in self._clips if path.exists())
        done, told = 0, 0.0
        names = distinct_names(path.name for path in self._clips)
        with replacing(self.output) as partial, ZipFile(partial, "w", ZIP_STORED) as archive:
            for path, name in zip(self._clips, names, strict=True):
                try:
                    source = path.open("rb")
                except FileNotFoundError:
                    continue
                with source:
                    facts = os.fstat(source.fileno())
                    entry = ZipInfo(name, time.localtime(facts.st_mtime)[:6])
                    entry.file_size = facts.st_size  # a large one needs another kind of entry
                    with archive.open(entry, "w") as target:
                        while piece := source.read(PIECE):
                            if self._stopped:
                                raise UserError("the archive was stopped")
                            target.write(piece)
                            done += len(piece)
                            if time.monotonic() - told >= EVERY:
                                told = time.monotonic()
                                yield done, total
                self.count += 1
            if not self.count:
                raise UserError("no finished clip is listed")


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return the names, those that came before with a number: `a.mp4`, then `a-2.mp4`.

    Names that differ in upper and lower case alone are one name to many file systems.
    """
    made: list[str] = []
    taken: set[str] = set()
    for name in map(Path, names):
        numbered = (f"{name.stem}-{number}{name.suffix}" for number in itertools.count(2))
        free = next(n for n in itertools.chain([name.name], numbered) if n.casefold() not in taken)
        taken.add(free.casefold())
        made.append(free)
    return made
