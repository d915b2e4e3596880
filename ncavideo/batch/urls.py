"""Where clips come from and outputs go: paths, and URLs that fsspec understands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.events import caught
from ncavideo.util.fetch import fetch, hidden, is_url, is_web, said, store_of, url_path, web_facts
from ncavideo.util.named import called
from ncavideo.util.scratch import scratch


@dataclass(frozen=True)
class Url:
    """A file or folder at a URL; named like what `pathlib.Path` has where it does the same.

    Not universal_pathlib's `UPath` (0.3.10): the text of an FTP URL loses its host and login there,
    and jobs go to other processes as texts; a suffix on the web has its query.
    The first use raises `UserError` for a kind of URL that nothing installed here understands.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self.text.rstrip('/')}/{name}")

    @property
    def _path(self) -> PurePosixPath:
        return url_path(self.text)

    @property
    def name(self) -> str:
        """The last part."""
        return self._path.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._path.stem

    @property
    def suffix(self) -> str:
        """The name's end, with its dot."""
        return self._path.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts after the scheme."""
        return self._path.parts

    @property
    def parent(self) -> Url:
        """The folder that it is in."""
        return Url(self.text.rstrip("/").rpartition("/")[0])

    def absolute(self) -> Url:
        """Return itself."""
        return self

    def store(self) -> tuple[Any, str]:
        """Return fsspec's file system for it, and its path there."""
        return store_of(self.text)

    def exists(self) -> bool:
        """Return whether it is there."""
        files, path = self.store()
        try:
            return bool(files.exists(path))
        # Every kind of URL has errors of its own.
        except Exception as error:
            raise UserError(f"{hidden(self)} cannot be reached: {said(error)}") from error

    def facts(self) -> list[Any]:
        """Return what changes when the file does; nothing if it cannot be asked."""
        if is_web(self.text):
            return web_facts(self.text)
        files, path = self.store()
        try:
            info = files.info(path)
        # The render meets the same error, and tells it.
        except Exception:
            caught("url.unknown", url=hidden(self))
            return []
        known = ("size", "mtime", "modify", "LastModified", "ETag", "updated", "last_modified")
        return [str(info[key]) for key in known if key in info]

    def inside(self, recursive: bool) -> list[Url] | None:
        """Return a folder's files in order, None for what is no folder."""
        files, path = self.store()
        if not files.isdir(path):
            return None
        return self._named(files, files.find(path, maxdepth=None if recursive else 1))

    def matches(self) -> list[Url]:
        """Return what there is for a pattern."""
        files, path = self.store()
        return self._named(files, files.glob(path))

    def _named(self, files: Any, paths: list[str]) -> list[Url]:
        """Return URLs for a file system's paths: with its user and host, which those lack."""
        _, own = self.store()
        root = self.text[: len(self.text) - len(own.lstrip("/"))].rstrip("/")
        return [Url(f"{root}/{path.lstrip('/')}") for path in sorted(paths)]


Place: TypeAlias = Path | Url


def place(text: str) -> Place:
    """Return a path or a URL."""
    return Url(text.rstrip("/")) if is_url(text) else Path(text)


@contextmanager
def local(clip: str, output: str) -> Iterator[tuple[Path, Path]]:
    """Give local paths for a clip and an output.

    A clip behind a URL is fetched first; an output is sent, under another name until it is whole,
    when the block has ended well. Raises what `fetch` does, and `OutputError` for an output that
    cannot be sent.
    """
    with scratch() as remote:
        source, target = Path(clip), Path(output)
        if is_url(clip):
            folder = remote() / "source"
            folder.mkdir()
            source = fetch(clip, folder)
        if is_url(output):
            target = remote() / place(output).name
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
        with called({source: clip, target: output}):
            yield source, target
        if is_url(output):
            _send(target, output)


def _send(source: Path, url: str) -> None:
    files, path = Url(url).store()
    folder, _, name = path.rpartition("/")
    partial = f"{folder}/.{name}.part"
    try:
        files.makedirs(folder, exist_ok=True)
        files.put_file(str(source), partial)
        if files.exists(path):
            files.rm_file(path)
        files.mv(partial, path)
    except Exception as error:
        raise OutputError(f"{hidden(url)} cannot be written: {said(error)}") from error
