"""How all functions of Numba are compiled, and kept for the next run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile with Numba; keep the machine code for the next run where a folder can be written."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(function, **options)
        # Nowhere to write to is a RuntimeError, "no locator available".
        with suppress(RuntimeError, OSError):
            dispatcher._cache = _Kept(function)
        return dispatcher

    return decorate


class _Kept(FunctionCache):  # type: ignore[misc]
    """Numba's cache, which a kill, a full disk or a damaged file cannot make wrong.

    Numba writes the index before the code that it names, by numbers that begin anew whenever the
    function's source changes: killed in between, it takes the old source's code for the new one's.
    Here the code comes first, under a name that goes with the source. What cannot be read or
    written is an error to Numba; here it is compiled anew.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        file = self._cache_file
        stamp, folder, pattern = file._source_stamp, Path(self.cache_path), file._data_name_pattern

        def save(key: Any, data: Any) -> None:
            overloads = file._load_index()
            digest = hashlib.sha256(repr((stamp, key)).encode()).hexdigest()[:16]
            name = pattern.replace("{number:d}", digest)
            file._save_data(name, data)
            file._save_index({**overloads, key: name})
            # Of another source, or under the names that Numba gives.
            for old in folder.glob(pattern.replace("{number:d}", "*")):
                if old.name not in (name, *overloads.values()):
                    old.unlink(missing_ok=True)

        file.save = save

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return what is kept for a signature, None if there is none that can be used."""
        try:
            return super().load_overload(signature, target)
        except Exception:  # whatever a damaged file makes its reader say
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep what was compiled, if that can be done: the next run compiles it otherwise."""
        with suppress(Exception):
            super().save_overload(signature, data)


@compiled()
def nothing() -> None:
    """Do nothing: the first function that is called has Numba set itself up."""
