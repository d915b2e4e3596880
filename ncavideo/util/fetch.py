"""Files behind URLs: of http and https by Python's own client, of all other kinds by fsspec."""

from __future__ import annotations

import base64
import errno
import http.client
import os
import re
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ncavideo.util.atomic_write import MOST_NAME
from ncavideo.util.errors import OutputError, UnreachableError, UserError
from ncavideo.version import __version__

URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
WEB = ("http", "https")
PATIENCE = 30.0  # seconds without a byte
GONE = (404, 410)
REFUSED = (401, 403, 407)
LASTING = 400  # of HTTP's codes, those from here on that a second try does not change
MAY_PASS = (408, 425, 429)
FULL = (errno.ENOSPC, errno.EDQUOT)
CHANGING = ("Content-Length", "Last-Modified", "ETag")
KEPT = "!$%&'()*+,/:;=?@[]~#"  # as it is in a URL, beside letters and digits
BLOCK = 1 << 20


def is_url(text: object) -> bool:
    """Return whether a text is a URL, as `s3://bucket/in.mp4`, and not a path."""
    return URL.match(str(text)) is not None


def is_web(url: str) -> bool:
    """Return whether a URL is of http or https."""
    return url.partition("://")[0].lower() in WEB


def hidden(text: object) -> str:
    """Return a URL without the password that it may hold."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", str(text))


def said(error: BaseException) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def url_path(url: str) -> PurePosixPath:
    """Return the path in a URL, of the web without its query."""
    # fsspec chains URLs: `zip://in.mp4::s3://bucket/clips.zip`.
    text = url.split("::")[0].split("://", 1)[1]
    if is_web(url):
        text = unquote(re.split("[?#]", text, maxsplit=1)[0])
    return PurePosixPath(text)


def fetch(url: str, folder: Path, tell: Callable[[str], None] = lambda note: None) -> Path:
    """Copy the file behind a URL into a folder under its own name; return it.

    `tell` is told what is fetched, and its size if that is known. Raises `UserError` for a URL that
    cannot be used or has nothing behind it, `UnreachableError` for what a later try may get,
    `OutputError` if there is no room for the file.
    """
    path = folder / _file_name(url)
    try:
        (_from_web if is_web(url) else _from_store)(url, path, tell)
    except (UserError, OutputError):
        raise
    except OSError as error:
        if error.filename == str(path) or error.errno in FULL:
            raise OutputError(f"{hidden(url)} cannot be stored: {error.strerror}") from error
        raise UnreachableError(f"{hidden(url)} cannot be fetched: {said(error)}") from error
    # Every kind of store has errors of its own; which of them may pass cannot be told.
    except Exception as error:
        raise UnreachableError(f"{hidden(url)} cannot be fetched: {said(error)}") from error
    # The moment of fetching is no fact about the file: `identity` would see a new one each time.
    os.utime(path, (0, 0))
    return path


def web_facts(url: str) -> list[str]:
    """Return what changes when the file at a URL of the web does; nothing if it is not told."""
    try:
        with _ask(url, "HEAD") as response:
            return [response.headers[key] for key in CHANGING if response.headers[key]]
    except UserError:
        return []


def store_of(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path there. Raises `UserError`."""
    import fsspec

    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    # Every kind of URL has errors of its own.
    except Exception as error:
        raise UserError(f"{hidden(url)} cannot be used: {said(error)}") from error
    return found


def _file_name(url: str) -> str:
    """Return a name for the file, which stands for no numbered pictures."""
    name = re.sub(r"[\0%\\]", "_", url_path(url).name) or "clip"
    suffix = PurePosixPath(name).suffix[:16]
    while len(os.fsencode(name)) > MOST_NAME:
        name = name[: -len(suffix) - 1] + suffix
    return name


def _from_store(url: str, path: Path, tell: Callable[[str], None]) -> None:
    files, there = store_of(url)
    try:
        size = files.info(there).get("size")
        tell(_fetching(url, size))
        files.get_file(there, str(path))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"there is no {hidden(url)}") from error
    if not path.is_file():
        raise UserError(f"{hidden(url)} is a folder: name a file in it")
    _check_whole(url, path, size)


def _from_web(url: str, path: Path, tell: Callable[[str], None]) -> None:
    with _ask(url, "GET") as response:
        length = response.headers["Content-Length"]
        size = int(length) if length and length.isdigit() else None
        tell(_fetching(url, size))
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(response, file, BLOCK)
        except http.client.IncompleteRead as error:
            raise UnreachableError(f"{hidden(url)} was cut short on its way") from error
    _check_whole(url, path, size)


def _check_whole(url: str, path: Path, size: int | None) -> None:
    came = path.stat().st_size
    if size is not None and came != size:
        raise UnreachableError(f"{hidden(url)} was cut short: {came} of {size} bytes came")


def _fetching(url: str, size: int | None) -> str:
    much = "size unknown" if size is None else f"{size / 1e6:.1f} MB"
    return f"fetching {hidden(url)} ({much})"


@contextmanager
def _ask(url: str, method: str) -> Iterator[Any]:
    """Give the answer to a request; raises as `fetch` does."""
    try:
        request = _request(url, method)
        response = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(url, error.code, str(error.reason)) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(error, http.client.InvalidURL):
            raise UserError(f"{hidden(url)} is no URL: {said(error)}") from error
        if isinstance(reason, socket.gaierror):
            reason = "its host is not known, or there is no network"
        elif isinstance(reason, OSError) and reason.strerror:
            reason = reason.strerror
        raise UnreachableError(f"{hidden(url)} cannot be reached: {reason}") from error
    except ValueError as error:
        raise UserError(f"{hidden(url)} is no URL: {said(error)}") from error
    with response:
        yield response


def _refusal(url: str, code: int, reason: str) -> UserError:
    if code in GONE:
        return UserError(f"there is no {hidden(url)} (HTTP {code})")
    if code in REFUSED:
        return UserError(f"access to {hidden(url)} is refused (HTTP {code})")
    text = f"{hidden(url)} cannot be fetched: HTTP {code} {reason}".rstrip()
    lasting = LASTING <= code < 500 and code not in MAY_PASS
    return UserError(text) if lasting else UnreachableError(text)


def _request(url: str, method: str) -> urllib.request.Request:
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, host, quote(parts.path, KEPT), quote(parts.query, KEPT), ""))
    request = urllib.request.Request(bare, method=method)
    request.add_header("User-Agent", f"ncavideo/{__version__}")
    if at:
        secret = base64.b64encode(unquote(login).encode()).decode()
        # Not for the host that this one may send us to.
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    return request
