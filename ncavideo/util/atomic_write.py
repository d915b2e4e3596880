"""Outputs that appear complete or not at all, and replace no file without permission."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ncavideo.util.errors import OutputError, UserError

# What `link` says on file systems without hard links: FAT, some network shares and FUSE.
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EXDEV}
RENAME_NOREPLACE, AT_FDCWD = 1, -100  # of Linux, renameat2(2)
HIDDEN = re.compile(r"\..*\.(\d+)\.[0-9a-f]{6}\.part(?:\.\w+)?", re.S)  # of `hidden_sibling`
ABANDONED = 3600.0  # seconds without a change
MOST_NAME = 255  # bytes of a file's name, on all common file systems


class NameTakenError(OutputError):
    """The finished output exists, but under another name than the requested one."""


def check_output(output: Path, suffixes: Iterable[str], overwrite: bool) -> None:
    """Raise `UserError` unless a file of that name, ending in one of `suffixes`, can be made."""
    if output.suffix.lower() not in suffixes:
        raise UserError(f"{output} must end in {', '.join(suffixes)}")
    if not output.absolute().parent.is_dir():
        raise UserError(f"there is no folder {output.absolute().parent} to write {output.name} in")
    try:
        output.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{output.name} cannot be a file: {error.strerror}") from error
    if output.is_dir():
        raise UserError(f"{output} is a folder")
    if not overwrite:
        raise UserError(f"{output} exists: name another output or give --overwrite")


@contextmanager
def replacing(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to, with its suffix.

    What was written takes the place of `path` when the block ends, and is gone if that ends with an
    error: no output is ever half written under its own name. See `publish` for `overwrite`.
    """
    partial = hidden_sibling(path, f".part{path.suffix}")
    try:
        yield partial
        publish(partial, path, overwrite)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def hidden_sibling(path: Path, ending: str) -> Path:
    """Return a hidden name beside `path` that no other process and no other call gets.

    A long name is cut, so that the hidden one is no longer than file systems take. The path is
    absolute: libav takes what stands before a relative one's colon for a protocol.
    """
    tail = f".{os.getpid()}.{secrets.token_hex(3)}{ending}"
    name = cut_name(path.name, MOST_NAME - len(tail.encode()) - 1)
    return path.absolute().with_name(f".{name}{tail}")


def cut_name(name: str, room: int) -> str:
    """Return a name's beginning that takes at most `room` bytes, no character cut in two."""
    while len(os.fsencode(name)) > room:
        name = name[:-1]
    return name


def abandoned(folder: Path) -> list[Path]:
    """Return the hidden siblings in a folder that no process of this machine will finish.

    Theirs is gone, and nothing was written for an hour: in a folder that machines share, another
    one's processes cannot be seen.
    """
    return [path for path in sorted(folder.glob(".*")) if _is_abandoned(path)]


def _is_abandoned(path: Path) -> bool:
    match = HIDDEN.fullmatch(path.name)
    try:
        return match is not None and _is_old(path) and not _is_running(int(match[1]))
    except OSError:  # it is gone meanwhile
        return False


def _is_old(path: Path) -> bool:
    return time.time() - path.lstat().st_mtime > ABANDONED


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def publish(finished: Path, path: Path, overwrite: bool) -> None:
    """Give a finished file its name, in one step that is whole or did not happen.

    Without `overwrite` the step itself refuses to replace anything, a dangling link included, even
    if it appeared a moment ago. The finished file then gets a free name beside it, which the
    `NameTakenError` tells. Raises `OSError` if the file system refuses.
    """
    if overwrite:
        finished.replace(path)
        return
    try:
        _move_without_replacing(finished, path)
    except FileExistsError as error:
        kept = _free_name(finished, path)
        raise NameTakenError(
            f"{path} appeared meanwhile and is left alone: what was finished is {kept}"
        ) from error


def _free_name(finished: Path, path: Path) -> Path:
    """Move a finished file to the first name such as `clip-2.mp4` that is free; return it."""
    for number in itertools.count(2):
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        with suppress(FileExistsError):
            _move_without_replacing(finished, free)
            return free
    raise AssertionError  # numbers do not end


def _move_without_replacing(source: Path, target: Path) -> None:
    """Rename a file. Raises `FileExistsError` if the name is taken.

    By a second hard link where there are any, else by Linux's renameat2. Where there is neither,
    the name is claimed by an empty file first: only a power cut between two system calls could
    leave that behind.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LINKS:
            raise
    else:
        # It is there, whatever becomes of its other name.
        with suppress(OSError):
            source.unlink()
        return
    if _renamed_exclusively(source, target):
        return
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        source.replace(target)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _renamed_exclusively(source: Path, target: Path) -> bool:
    """Rename by renameat2; return False where the system or the file system has none."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(source), os.fsencode(target)
    if rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(target))


def is_file(path: Path) -> bool:
    """Return whether there is a file of that name; nothing can be if it is no name at all."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False
