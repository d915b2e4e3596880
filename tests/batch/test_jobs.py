"""What a batch is to render: folders, patterns, lists, templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from quick_batch import ASKED, QUICK, run

from ncavideo.batch.jobs import Job, find_jobs
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow


def names(jobs: list[Job]) -> list[str]:
    return [job.output.name for job in jobs]


def test_dry_run_does_nothing(folder: Path, tmp_path: Path) -> None:
    result = run("batch", folder, "--out-dir", tmp_path / "out", *QUICK, "--dry-run")
    assert result.exit_code == 0
    assert "plain.fire-moss.mp4" in result.stdout
    assert not (tmp_path / "out").exists()


def test_folders_patterns_and_templates(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert len(find_jobs([str(folder)], out, ASKED)) == 9
    assert len(find_jobs([str(folder)], out, ASKED, recursive=True)) == 10
    jobs = find_jobs([str(folder / "p*.mp4"), str(folder / "below")], out, ASKED,
                     template="{number}-{parent}-{stem}{suffix}")  # fmt: skip
    assert names(jobs) == ["0001-in-plain.mp4", "0002-below-deep.mp4"]
    matte = find_jobs([str(folder / "plain.mp4")], out, ASKED | {"matte": True})
    assert names(matte) == ["plain.fire-moss.mov"]


def test_lists_have_their_own_options(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "clip,output,rules,shade,flow\n"
        f"{clip},a.mp4,water;magma,0.2,true\n"
        f"{clip},,,,\n"
    )  # fmt: skip
    (tmp_path / "list.toml").write_text(
        f'[[job]]\nclip = "{clip}"\noutput = "b.mp4"\ncontrol = ["fire=edges"]\nstart = 1\n'
    )
    jobs = find_jobs([str(tmp_path / "list.csv"), str(tmp_path / "list.toml")], tmp_path, ASKED)
    assert names(jobs) == ["a.mp4", "in.fire-moss.mp4", "b.mp4"]
    first, second, third = (job.options for job in jobs)
    assert (first.rules, first.shade, first.flow) == (("water", "magma"), 0.2, True)
    assert second == RenderOptions(**ASKED)
    assert (third.control, third.start) == (("fire=edges",), 1.0)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("l.csv", "file\na.mp4\n", "unknown key 'file'"),
        ("l.csv", "clip,steps\na.mp4,many\n", "whole number"),
        ("l.csv", "rules\nfire\n", "names no clip"),
        ("l.toml", "job = 3", "[[job]] tables"),
        ("l.toml", "[[job]]\nclip = 3", "must be a text"),
        ("l.toml", "[[job", "not TOML"),
        ("l.toml", "[[job]]\nsteps = " + "9" * 5000, "not TOML"),
        ("l.toml", '[[job]]\nclip = "a.mp4"\noutput = "../../x.mp4"', "outside"),
        ("l.csv", "clip\n", "no clip to render"),
    ],
)
def test_lists_that_cannot_be(tmp_path: Path, name: str, text: str, match: str) -> None:
    import re

    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=re.escape(match)):
        find_jobs([str(tmp_path / name)], tmp_path / "out", ASKED)
