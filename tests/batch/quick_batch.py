"""Batches that take little: their options, in words and as data."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from ncavideo.batch.jobs import Job
from ncavideo.cli.main import main
from ncavideo.rendering.options import RenderOptions

QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "2", "--cell", "8"]
ASKED = {"rules": ("fire", "moss"), "steps": 1, "warmup": 2, "cell": 8}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def three_jobs(clip: Path, folder: Path) -> list[Job]:
    """Return jobs of three copies of a clip in a folder, with outputs in its `out`."""
    jobs = []
    for index in range(3):
        copy = folder / f"{index}.mp4"
        copy.write_bytes(clip.read_bytes())
        jobs.append(Job(copy, folder / "out" / copy.name, RenderOptions(**ASKED)))
    return jobs


def pictures_list(clip: Path, folder: Path) -> Path:
    list_ = folder / "list.toml"
    list_.write_text(f'[[job]]\nclip = "{clip}"\noutput = "f_%04d.png"\n')
    return list_
