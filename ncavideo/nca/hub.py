"""Rule sets from the Hugging Face hub: `hf://user/repo`.

A repository holds `ruleset.safetensors`, and beside it a model card and a sheet; the recipe is in
the file. A rule set from the hub is checked like any file: loading it never runs code.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from ncavideo.nca.catalog import MAX_FILE_BYTES, SUFFIX
from ncavideo.util.downloaded import check_downloaded
from ncavideo.util.errors import UserError

SCHEME = "hf://"
FILE = "ruleset" + SUFFIX
_ADDRESS = re.compile(
    r"hf://(?P<repo>\w[\w.-]*/\w[\w.-]*?)(?:@(?P<revision>[^/]+))?(?:/(?P<file>.+))?", re.ASCII
)


def fetch(address: str) -> Path:
    """Return the local copy of `hf://user/repo[@revision][/file]`, downloaded on first use.

    Without a file name it is `ruleset.safetensors`, or the repository's only .safetensors file.
    Raises `UserError` with one sentence when there is none or no way to it.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UserError(f"{address!r} is no address: write hf://user/repo or hf://user/repo/file")
    repo, revision, file = match["repo"], match["revision"], match["file"]
    hub = hub_library()
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        if file is None:
            try:
                return _download(hub, repo, FILE, revision)
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                file = _only_ruleset(hub, address, repo, revision)
        return _download(hub, repo, file, revision)
    except LocalEntryNotFoundError as error:
        cached = _cached(hub, repo, revision) if file is None else None
        if cached is not None:
            return cached
        raise UserError(
            f"{address} is not here yet and the hub cannot be reached: go online once"
        ) from error
    except EntryNotFoundError as error:
        raise UserError(f"the repository {repo} has no file {file}") from error
    except RevisionNotFoundError as error:
        raise UserError(f"the repository {repo} has no revision {revision}") from error
    except GatedRepoError as error:
        raise UserError(f"{repo} asks for consent: give it on its page, then log in") from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"there is no repository {repo} on the hub, or it is private: log in with `hf auth"
            " login`"
        ) from error
    except UserError:
        raise
    except Exception as error:  # its HTTP library's own, another one in each major version
        raise UserError(f"{address} could not be loaded: {reason(error)}") from error


def _download(hub: Any, repo: str, file: str, revision: str | None) -> Path:
    """Download one file into huggingface_hub's cache, unless it is far too large."""
    if not file.endswith(SUFFIX):
        raise UserError(f"{file} is not a rule set: its name does not end in {SUFFIX}")
    cached = hub.try_to_load_from_cache(repo, file, revision=revision)
    if not isinstance(cached, str):
        about = None
        with contextlib.suppress(Exception):  # whatever it is, the download says it better
            about = hub.get_hf_file_metadata(hub.hf_hub_url(repo, file, revision=revision))
        if about is not None and (about.size or 0) > MAX_FILE_BYTES:
            raise UserError(f"{repo}/{file} is far too large for a rule set: {about.size >> 20} MB")
    path = Path(hub.hf_hub_download(repo, file, revision=revision))
    check_downloaded(path)
    return path


def _cached(hub: Any, repo: str, revision: str | None) -> Path | None:
    """Return the only rule set that is here of a repository without a `ruleset.safetensors`."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = hub.snapshot_download(repo, revision=revision, local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    found = list(Path(folder).rglob(f"*{SUFFIX}"))
    return found[0] if len(found) == 1 else None


def _only_ruleset(hub: Any, address: str, repo: str, revision: str | None) -> str:
    names = hub.HfApi().list_repo_files(repo, revision=revision)
    found = [name for name in names if name.endswith(SUFFIX)]
    if len(found) == 1:
        return str(found[0])
    some = f"several: name one, such as {address}/{found[0]}" if found else "none"
    raise UserError(f"the repository {repo} should hold one {SUFFIX} file, and holds {some}")


def hub_library() -> Any:
    """Return huggingface_hub, silenced. Raises `UserError` where it is not installed."""
    try:
        import huggingface_hub
        from huggingface_hub.utils import logging
    except ImportError as error:
        raise UserError("rule sets on the hub need: pip install 'ncavideo[hub]'") from error
    # Its progress bars and warnings are not ours; what goes wrong comes as an error.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    return huggingface_hub


def reason(error: Exception) -> str:
    """Return what a library's error says, in one line."""
    said = getattr(error, "server_message", None) or str(error)
    return (said.strip().splitlines() or [type(error).__name__])[0]
