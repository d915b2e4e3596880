"""Batches that take little: their options, in words and as data."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from ncavideo.cli.main import main

QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "2", "--cell", "8"]
ASKED = {"rules": ("fire", "moss"), "steps": 1, "warmup": 2, "cell": 8}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def pictures_list(clip: Path, folder: Path) -> Path:
    list_ = folder / "list.toml"
    list_.write_text(f'[[job]]\nclip = "{clip}"\noutput = "f_%04d.png"\n')
    return list_
