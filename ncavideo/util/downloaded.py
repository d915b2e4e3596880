"""Whether a downloaded file still is what was downloaded."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ncavideo.util.errors import UserError

# PyTorch writes the beginning of the SHA-256 into the name (`vgg16-397923af.pth`); the cache of
# the Hugging Face hub names large files by all of it, and links to them.
_PREFIX = re.compile(r".*-([0-9a-f]{8,64})\.\w+")
_WHOLE = re.compile(r"[0-9a-f]{64}")


def check_downloaded(path: Path) -> None:
    """Compare a file with the SHA-256 in its name, if it has one.

    Libraries do so after a download and not when they load the file again. Raises `UserError` if
    they differ, or the file cannot be read.
    """
    real = path.resolve()
    match = _PREFIX.fullmatch(real.name)
    if match is not None:
        wanted = match[1]
    elif _WHOLE.fullmatch(real.name):
        wanted = real.name
    else:
        return
    try:
        with real.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"the download {path} cannot be read: {error.strerror}") from error
    if not found.startswith(wanted):
        raise damaged(path)


def damaged(path: Path) -> UserError:
    """Return the error for a downloaded file that cannot be used."""
    return UserError(
        f"the downloaded weights {path.resolve()} are damaged: delete the file, and they are"
        " downloaded again"
    )
