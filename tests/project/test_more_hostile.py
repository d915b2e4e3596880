"""Names and numbers that once hung, or ended with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hostile import ffmpeg, source
from patience import PATIENCE

from ncavideo.batch.jobs import find_jobs
from ncavideo.cli.main import main
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import RenderProgress, render
from ncavideo.util.errors import OutputError

QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "1", "--cell", "8", "--quiet"]
RENDER = ["render", "a.mp4", *QUICK]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ffmpeg(*source(), folder / "a.mp4")
    command = [sys.executable, "-m", "ncavideo", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_takes_no_folders(tmp_path: Path) -> None:
    done = run(tmp_path, *RENDER, "-o", "/proc/out.mp4")
    assert done.returncode == 2
    assert "cannot be made" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_with_a_colon(tmp_path: Path) -> None:
    done = run(tmp_path, *RENDER, "-o", "tcp:out.mp4")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tcp:out.mp4").stat().st_size > 1000


def test_a_seed_that_no_float_holds(tmp_path: Path) -> None:
    done = run(tmp_path, *RENDER, "-o", "out.mp4", "--seed", "1" + "0" * 400)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_list_with_a_zero_byte(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"clip\na\0b.mp4\n")
    done = run(tmp_path, "batch", "list.csv", "--out-dir", "out", *QUICK)
    assert done.returncode == 2
    assert "holds a zero byte" in done.stderr


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("--log-file", [*RENDER, "-o", "out.mp4"]),
        ("--report", ["batch", "a.mp4", "--out-dir", "out", *QUICK]),
    ],
)
def test_logs_and_reports_destroy_no_clip(
    option: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffmpeg(*source(), tmp_path / "a.mp4")
    before = (tmp_path / "a.mp4").read_bytes()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*arguments, option, "a.mp4"])
    assert result.exit_code == 2
    assert f"name another file for {option}" in result.stderr and result.stderr.count("\n") == 1
    assert (tmp_path / "a.mp4").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_batch_does_not_render_its_own_outputs(tmp_path: Path) -> None:
    ffmpeg(*source(), tmp_path / "a.mp4")
    out = tmp_path / "out"
    for _ in range(2):
        jobs = find_jobs([str(tmp_path)], out, {"rules": ("fire",)}, recursive=True)
        assert [job.clip.name for job in jobs] == ["a.mp4"]
        out.mkdir(exist_ok=True)
        (out / jobs[0].output.name).write_bytes(b"")


@pytest.mark.parametrize("name", ["o_%99999d.png", "o_%99999999999d.png"])
def test_more_digits_than_a_name_holds(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffmpeg(*source(), tmp_path / "a.mp4")
    monkeypatch.chdir(tmp_path)
    for arguments in ([*RENDER, "-o", name], ["render", name, "-o", "out.mp4", *QUICK]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2 and result.stderr.count("\n") == 1, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_stream_to_a_closed_stdout_is_told(tmp_path: Path) -> None:
    ffmpeg(*source(), tmp_path / "a.mp4")
    command = ["sh", "-c", '"$0" -m ncavideo "$@" >&-', sys.executable, *RENDER, "-o", "-"]
    done = subprocess.run(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "ncavideo: standard output is closed: give an output with a name\n"


def test_a_clip_that_is_replaced_while_it_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "other.mp4"):
        ffmpeg(*source(), name)

    def replace(news: RenderProgress) -> None:
        if news.done == 1:
            Path("other.mp4").rename("a.mp4")

    options = RenderOptions(rules=("fire",), steps=1, warmup=1, cell=8)
    with pytest.raises(OutputError, match="was replaced while it was rendered"):
        render(Path("a.mp4"), Path("out.mp4"), options, replace)
    assert not Path("out.mp4").exists()


def test_a_checkpoint_that_is_waited_for(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from ncavideo.training.checkpoint_file import restore
    from ncavideo.util.errors import UserError

    assert torch
    os.mkfifo(tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="not a regular file"):
        restore(None, tmp_path / "checkpoint.pt")  # type: ignore[arg-type]
