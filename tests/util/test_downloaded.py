"""Downloads are compared with the hash in their names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ncavideo.util.downloaded import check_downloaded
from ncavideo.util.errors import UserError

DIGEST = hashlib.sha256(b"weights").hexdigest()


def test_what_was_downloaded_and_what_became_of_it(tmp_path: Path) -> None:
    torchs, blob = tmp_path / f"net-{DIGEST[:8]}.pth", tmp_path / DIGEST
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    for path in (torchs, blob):
        path.write_bytes(b"weights")
    for path in (torchs, blob, link):
        check_downloaded(path)
    for content in (b"", b"weight", b"Weights"):
        for path in (torchs, blob):
            path.write_bytes(content)
        for path in (torchs, blob, link):
            with pytest.raises(UserError, match="delete the file") as caught:
                check_downloaded(path)
            assert str(path.resolve()) in str(caught.value)


def test_a_name_without_a_hash_is_taken_as_it_is(tmp_path: Path) -> None:
    for name in ("model.safetensors", "net-large.pth", "resnet50-v2.pth"):
        (tmp_path / name).write_bytes(b"anything")
        check_downloaded(tmp_path / name)
