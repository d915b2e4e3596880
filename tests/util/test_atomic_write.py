"""Outputs appear whole, under their own names, and nothing is replaced that was not offered."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from patience import PATIENCE
from PIL import Image

from ncavideo.cli.main import main
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import RenderProgress, render
from ncavideo.util import atomic_write
from ncavideo.util.atomic_write import check_output, hidden_sibling, publish, replacing
from ncavideo.util.errors import OutputError, UserError

EXAMPLE = Path(__file__).parents[2] / "examples" / "clip.mp4"
QUICK = RenderOptions(("fire", "moss"), steps=1, warmup=2, cell=32, duration=0.2)


@pytest.fixture(params=["links", "renameat2", "neither"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems that have hard links, that only have Linux's call, and that have neither."""

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if request.param != "links":
        monkeypatch.setattr(os, "link", refused)
    if request.param == "neither":
        monkeypatch.setattr(atomic_write, "_renamed_exclusively", lambda *_: False)


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("there", ["a file", "an empty file", "a dangling link", "a link"])
def test_what_appears_meanwhile_is_left_alone(there: str, tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with (
        pytest.raises(OutputError, match=r"appeared meanwhile.*out-3\.txt"),
        replacing(path, overwrite=False) as partial,
    ):
        partial.write_text("new")
        (tmp_path / "out-2.txt").write_text("another")
        if "link" in there:
            path.symlink_to(tmp_path / ("nowhere" if "dangling" in there else "out-2.txt"))
        else:
            path.write_text("" if "empty" in there else "old")
    assert (tmp_path / "out-3.txt").read_text() == "new"
    assert (tmp_path / "out-2.txt").read_text() == "another"
    assert path.is_symlink() if "link" in there else path.read_text() in ("", "old")
    assert {p.name for p in tmp_path.iterdir()} == {"out.txt", "out-2.txt", "out-3.txt"}


@pytest.mark.usefixtures("ways")
def test_a_free_name_is_taken_and_nothing_is_left(tmp_path: Path) -> None:
    with replacing(tmp_path / "out.txt", overwrite=False) as partial:
        partial.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]
    assert (tmp_path / "out.txt").read_text() == "new"
    with replacing(tmp_path / "out.txt") as partial:
        partial.write_text("newer")
    assert (tmp_path / "out.txt").read_text() == "newer"


@pytest.mark.usefixtures("ways")
def test_of_many_at_once_one_gets_the_name_and_none_is_lost(tmp_path: Path) -> None:
    def write(number: int) -> None:
        finished = hidden_sibling(tmp_path / "out.txt", ".part")
        finished.write_text(str(number))
        publish(finished, tmp_path / "out.txt", overwrite=False)

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(write, number) for number in range(24)]
    assert sum(result.exception() is None for result in results) == 1
    assert sorted(int(p.read_text()) for p in tmp_path.iterdir()) == list(range(24))


def test_a_hidden_name_is_no_longer_than_names_may_be(tmp_path: Path) -> None:
    for name in ("x" * 251 + ".png", "ü" * 125 + ".png", "n.png"):
        hidden = hidden_sibling(tmp_path / name, ".part.png")
        hidden.touch()
        assert hidden.suffix == ".png"
    with pytest.raises(UserError, match="cannot be a file"):
        check_output(tmp_path / ("x" * 300 + ".png"), (".png",), overwrite=False)


def test_a_dangling_link_is_in_the_way(tmp_path: Path) -> None:
    for name in ("out.mp4", "still.png", "page.html"):
        (tmp_path / name).symlink_to(tmp_path / "nowhere" / name)
    for command in (
        ["render", EXAMPLE, "--rules", "fire,moss", "-o", tmp_path / "out.mp4"],
        ["still", "--rules", "fire", "-o", tmp_path / "still.png"],
        ["export", "elements", "--html", tmp_path / "page.html"],
    ):
        result = CliRunner().invoke(main, [str(word) for word in command])
        assert result.exit_code == 2
        assert "exists" in result.stderr
    assert all(path.is_symlink() for path in tmp_path.iterdir())


@pytest.mark.slow
def test_a_clip_that_appears_while_it_is_rendered_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"

    def meanwhile(news: RenderProgress) -> None:
        out.write_bytes(b"another program's")

    with pytest.raises(OutputError, match=r"left alone: what was finished is .*out-2\.mp4"):
        render(EXAMPLE, out, QUICK, meanwhile)
    assert out.read_bytes() == b"another program's"
    assert (tmp_path / "out-2.mp4").stat().st_size > 1000
    assert {p.name for p in tmp_path.iterdir()} == {"out.mp4", "out-2.mp4"}


@pytest.mark.slow
def test_numbered_pictures_that_appear_meanwhile_are_left_alone(tmp_path: Path) -> None:
    def meanwhile(news: RenderProgress) -> None:
        (tmp_path / "f_3.png").write_bytes(b"another program's")

    with pytest.raises(OutputError, match=r"left alone: the finished pictures are in .*f_-2"):
        render(EXAMPLE, tmp_path / "f_%d.png", QUICK, meanwhile)
    assert (tmp_path / "f_3.png").read_bytes() == b"another program's"
    assert {p.name for p in tmp_path.iterdir()} == {"f_3.png", "f_-2"}
    assert {p.name for p in (tmp_path / "f_-2").iterdir()} == {f"f_{n}.png" for n in range(1, 6)}


@pytest.mark.slow
def test_two_stills_to_one_name_are_both_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ncavideo", "still", "--rules", "fire", "--size", "64x48",
               "--steps", "2", "--quiet", "-o", str(tmp_path / "fire.png")]  # fmt: skip
    both = [subprocess.Popen([*command, "--seed", str(seed)]) for seed in (1, 2)]
    assert {process.wait(PATIENCE) for process in both} <= {0, 1, 2}
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            image.load()
    assert tmp_path / "fire.png" in tmp_path.iterdir()


def test_pictures_that_a_kill_left_half_moved_are_no_hindrance(tmp_path: Path) -> None:
    """The first is moved last, and its own pictures do not keep a render from its names."""
    from ncavideo.rendering.render import render

    render(EXAMPLE, tmp_path / "f_%d.png", QUICK)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(whole) > 3
    for name in ("f_1.png", "f_2.png"):
        (tmp_path / name).unlink()
    render(EXAMPLE, tmp_path / "f_%d.png", QUICK)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
