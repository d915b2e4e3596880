"""Locks: who is kept out, and what happens where a file system has none."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from ncavideo.rendering.checkpoint import JOB, LOCK, remove, unfinished
from ncavideo.util.errors import BusyError
from ncavideo.util.lock import Claims, Lock, is_locked


def test_a_lock_keeps_others_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = Lock(path, "busy")
    assert is_locked(path)
    with pytest.raises(BusyError, match="busy"):
        Lock(path, "busy")
    lock.release()
    assert not is_locked(path)
    Lock(path, "busy").release()


def test_a_claim_keeps_other_processes_out_of_its_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "claims"
    claims = Claims(path)
    assert claims.claim("a")
    ask = (
        "import sys; from pathlib import Path; from ncavideo.util.lock import Claims\n"
        "claims = Claims(Path(sys.argv[1])); print(*(claims.claim(name) for name in 'ab'))"
    )

    def other() -> str:
        return subprocess.check_output([sys.executable, "-c", ask, path], text=True).strip()

    assert other() == "False True"
    claims.let_go("a")
    assert other() == "True True"
    claims.close()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_is_none_that_is_locked(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every render on such a share was once told that another is at work."""

    def refused(*arguments: object) -> NoReturn:
        raise OSError(code, "no locks")

    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(fcntl, "lockf", refused)
    work = tmp_path / f".out.mp4.{'0' * 12}.work"
    work.mkdir()
    (work / JOB).write_text("{}")
    lock = Lock(work / LOCK, "busy")
    assert lock.refused
    claims = Claims(tmp_path / "claims")
    assert claims.claim("a")
    claims.close()
    # Whether somebody is at work cannot be told there: nothing is offered, and nothing removed.
    assert unfinished(tmp_path) == []
    assert not remove(work)
    assert (work / JOB).exists()
