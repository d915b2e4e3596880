"""The documentation builds without a warning; its pictures and commands are there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ncavideo.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")),
         ROOT / "examples" / "gallery" / "README.md"]  # fmt: skip


def commands(page: Path) -> list[str]:
    """Every line of a page's code that begins with `ncavideo`, continued lines joined."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4,6}|\| !\[\]\(\S+\) \| `)?(ncavideo [^`\n]+)", text, re.M)
    return [line.split(" #")[0].rstrip("`| ") for line in lines]


EVERY = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in commands(page)]


def test_there_are_commands_to_check() -> None:
    assert len(EVERY) > 40
    assert {"README.md", "docs/batch.md", "docs/still.md"} <= {page for page, _ in EVERY}


@pytest.mark.parametrize(("page", "line"), EVERY)
def test_a_documented_command_exists_with_its_options(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = main
    context = click.Context(main, info_name="ncavideo")
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = click.Context(command, parent=context, info_name=command.name)
    command.make_context(str(command.name), words, parent=context)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    missing = []
    for page in (tmp_path / "site").rglob("*.html"):
        for source in re.findall(r'<img[^>]* src="([^"]+)"', page.read_text("utf-8")):
            if not source.startswith(("data:", "http")) and not (page.parent / source).is_file():
                missing.append((page.name, source))
    assert missing == []
    reference = (tmp_path / "site" / "commands" / "index.html").read_text("utf-8")
    for name in main.commands:
        assert f"ncavideo {name}" in reference or f">{name}<" in reference, name
    assert "gamma-encoded" in (tmp_path / "site" / "api" / "index.html").read_text("utf-8")


def test_pictures_in_pages_are_there() -> None:
    for page in PAGES:
        for source in re.findall(r"!\[[^\]]*\]\(([^)#]+)\)", page.read_text("utf-8")):
            if page.name != "index.md":
                assert (page.parent / source).is_file(), (page.name, source)
