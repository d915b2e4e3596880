"""Tested versions of the dependencies, and installed ones that were not tested.

`tested_versions.json` holds the oldest and the newest version of Python and of each package that
a render, a training and the tests were run with; `benchmarks/versions.py` writes it.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).with_name("tested_versions.json")
# Errors of a library whose version lacks a name, or has another signature.
SIGNS = (ImportError, AttributeError, TypeError)


@dataclass(frozen=True)
class Range:
    """The oldest and the newest version that was tried."""

    oldest: str
    newest: str

    def side(self, version: str) -> int:
        """Return -1 for a version older than any tried, 1 for a newer one, otherwise 0."""
        here = release(version)
        return (here > release(self.newest)) - (here < release(self.oldest))


@dataclass(frozen=True)
class Untried:
    """Something installed here in a version outside of the range that was tried."""

    package: str
    version: str
    tried: Range

    @property
    def too_old(self) -> bool:
        """Whether it is older than what ncavideo needs; a newer one may well work."""
        return self.tried.side(self.version) < 0

    def __str__(self) -> str:
        """Say it in one sentence, with the command that installs a version that was tried."""
        what = "older than ncavideo needs" if self.too_old else "newer than any tried"
        low, high = self.tried.oldest, self.tried.newest
        wanted = f">={low},<={high}" if self.too_old else f"<={high}"
        command = f"pip install '{self.package}{wanted}'"
        if self.package == "python":
            command = f"use Python {high}"
        tried = low if low == high else f"{low} to {high}"
        return f"{self.package} {self.version} is {what} ({tried}): {command}"


def release(version: str) -> tuple[int, ...]:
    """Return a version's release as numbers, to be compared: (2, 14) for `2.14.0+cpu`."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


@cache
def tested() -> dict[str, Range]:
    """Return the ranges that were tried, by the package's name; Python is among them."""
    return {name: Range(**ends) for name, ends in json.loads(DATA.read_text("utf-8")).items()}


def installed(package: str) -> str | None:
    """Return which version of a package, or of Python, is here, if any is."""
    if package == "python":
        return platform.python_version()
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def untried() -> list[Untried]:
    """Return installed packages outside of the tested range, too old ones first."""
    found = []
    for package, tried in tested().items():
        version = installed(package)
        # Python's releases of one minor version add nothing that could break.
        seen = ".".join(version.split(".")[:2]) if version and package == "python" else version
        if seen and version and tried.side(seen):
            found.append(Untried(package, version, tried))
    return sorted(found, key=lambda one: not one.too_old)


def blame(error: BaseException) -> str:
    """Return what an unexpected error may come from, in one sentence, if versions may be why.

    Too old packages rule out the newer ones: they are known not to work.
    """
    if not isinstance(error, SIGNS):
        return ""
    found = untried()
    suspects = [one for one in found if one.too_old] or found
    if not suspects:
        return ""
    return f"{type(error).__name__}: {error}; {'; '.join(map(str, suspects))}"
