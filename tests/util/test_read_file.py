"""Files are looked at before they are read: nothing waits for a pipe, no size is believed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE
from PIL import Image

from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.look_file import load_look
from ncavideo.training.recipe_file import load_recipe
from ncavideo.util.errors import UserError
from ncavideo.util.read_image import read_picture

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "arguments",
    [
        ["batch", "{0}.csv", "--out-dir", "out", "--rules", "fire"],
        ["batch", "{0}.toml", "--out-dir", "out", "--rules", "fire"],
        ["render", "clip.mp4", "--look", "{0}.toml", "-o", "o.mp4"],
        ["train", "{0}.toml"],
        ["presets", "show", "{0}.safetensors"],
        ["still", "--picture", "{0}.png", "--rules", "fire", "-o", "o.png"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_nothing_waits_for_a_pipe(tmp_path: Path, arguments: list[str]) -> None:
    for suffix in ("csv", "toml", "safetensors", "png"):
        os.mkfifo(tmp_path / f"pipe.{suffix}")
    done = subprocess.run(
        [sys.executable, "-m", "ncavideo", *(word.format("pipe") for word in arguments)],
        capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "is not a regular file" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("read", [load_look, load_recipe, RuleSet.load])
def test_what_is_too_large_is_not_read(tmp_path: Path, read: object) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # of holes: it takes no room
    with pytest.raises(UserError, match="too large"):
        read(path)  # type: ignore[operator]


def test_a_small_file_of_a_large_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (13000, 13000)).save(path)
    assert path.stat().st_size < 30_000
    with pytest.raises(UserError, match="13000x13000, where 110 million pixels are the most"):
        read_picture(path, "mask")
    Image.new("1", (9600, 9400)).save(path)  # beyond what Pillow warns of
    assert read_picture(path, "mask").shape == (9400, 9600, 3)
