"""A file is told from another without being read whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ncavideo.batch.jobs import Job
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering.checkpoint import fingerprint
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.identity import END, WHOLE, identity
from ncavideo.video.clip import Clip


def replaced(path: Path, place: int, *, keep_time: bool) -> None:
    """Change one byte of a file, as a file that takes its place would."""
    data, status = bytearray(path.read_bytes()), path.stat()
    data[place] ^= 1
    path.unlink()
    path.write_bytes(data)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize("size", [1, END, WHOLE, WHOLE + 1, 4 * WHOLE])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_file_that_was_replaced_is_noticed(size: int, where: str, tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(os.urandom(size))
    place = {"first": 0, "middle": size // 2, "last": size - 1}[where]
    known = identity(path)
    assert identity(path) == known
    # In the middle of a large file only its time tells.
    replaced(path, place, keep_time=where != "middle" or size <= WHOLE)
    assert identity(path) != known
    with path.open("ab") as file:
        file.write(b"more")
    assert len({known, identity(path)}) == 2


def test_a_small_file_is_known_by_its_content(tmp_path: Path) -> None:
    path, copy = tmp_path / "mask.png", tmp_path / "copy.png"
    path.write_bytes(b"mask")
    shutil.copyfile(path, copy)
    os.utime(copy, (1, 1))
    assert identity(copy) == identity(path)


def test_a_batch_and_a_checkpoint_notice_the_same(tmp_path: Path) -> None:
    path, options = tmp_path / "in.mp4", RenderOptions(("fire",))
    path.write_bytes(os.urandom(2 * WHOLE))
    ruleset = open_ruleset("elements")

    def keys() -> tuple[str, str]:
        return Job(path, tmp_path / "out.mp4", options).key, fingerprint(path, ruleset, options)

    before = keys()
    assert keys() == before
    for place, keep_time in ((0, True), (2 * WHOLE - 1, True), (WHOLE, False)):
        replaced(path, place, keep_time=keep_time)
        after = keys()
        assert all(a != b for a, b in zip(before, after, strict=True))
        before = after


def test_a_large_clip_is_not_read_whole(tmp_path: Path) -> None:
    """50 GB that are not on the disk: reading them all would take minutes."""
    path = tmp_path / "in.mp4"
    with path.open("wb") as file:
        file.truncate(50 << 30)
    assert Clip(path).identity == identity(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in.mp4")
    with pytest.raises(OSError, match="not a regular file"):
        identity(tmp_path / "in.mp4")


def test_a_clip_is_asked_once(clip: Path) -> None:
    source = Clip(clip)
    assert source.sample is source.sample
    known = source.identity
    clip_copy = clip.with_name("copy.mp4")
    shutil.copyfile(clip, clip_copy)
    other = Clip(clip_copy)
    assert other.identity == known
    clip_copy.unlink()
    assert other.identity == known
    with source.read(duration=0.1) as reader:
        assert len(list(reader)) == 3
    assert source.length == pytest.approx(0.2)
