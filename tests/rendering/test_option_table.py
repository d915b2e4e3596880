"""An option stands in one place: one line in a copy of the package, and everything has it."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from ncavideo.cli.main import main
from ncavideo.rendering.option_table import table
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

ROOT = Path(__file__).parents[2]
TABLE = table(RenderOptions)
PLACE = "    opacity_control: str | None = option("
ADDED = """\
    glow: float = option(
        0.25, "Strength of the glow.", COMPOSITING, bounds=(0, 2), keyed=True
    )
    grain: str = option("none", "Grain.", ENCODING, "file", choices=("none", "film"))
    hush: bool = option(False, "Say less.", RUN, "run")
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run Python in a folder where the package has three more options."""
    folder = tmp_path_factory.mktemp("extended")
    unused = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ncavideo", folder / "ncavideo", ignore=unused)
    (folder / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "make_options.py", folder / "docs")
    (folder / "presets").symlink_to(ROOT / "presets")
    source = folder / "ncavideo" / "rendering" / "options.py"
    text = source.read_text("utf-8")
    assert text.count(PLACE) == 1
    source.write_text(text.replace(PLACE, ADDED + PLACE), "utf-8")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
        )

    run.folder = folder  # type: ignore[attr-defined]
    return run


def test_a_new_option_is_rendered_with_saved_and_written(extended: Run) -> None:
    here: Path = extended.folder  # type: ignore[attr-defined]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=32x32:r=5:d=0.4",
         str(here / "in.mp4")],
        check=True,
    )  # fmt: skip
    words = ["-m", "ncavideo", "render", "in.mp4", "--rules", "fire", "--engine", "torch"]
    words += ["--warmup", "1", "--steps", "1", "--cell", "8", "--overwrite", "-o", "o.mp4"]
    done = extended(
        *words, "--glow", "0.5", "--keyframes", "glow@0=0,1=2", "--grain", "film", "--hush",
        "--save-look", "look.toml",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    look = tomllib.loads((here / "look.toml").read_text("utf-8"))
    assert look["glow"] == 0.5 and not look.keys() & {"grain", "hush"}
    for wrong, sentence in (
        (["--glow", "3"], "--glow must lie between 0 and 2, not 3"),
        (["--keyframes", "glow@0=0,1=2.5"], "--keyframes glow@... must lie between 0 and 2"),
        (
            ["--keyframes", "hush@0=1"],
            "light, shade, detail, opacity, glow, steps, steps_per_second, or a rule",
        ),
        (["--grain", "sand"], "--grain must be none or film, not 'sand'"),
    ):
        refused = extended(*words, *wrong)
        assert refused.returncode == 2 and sentence in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_a_new_option_is_in_the_help_and_the_reference(extended: Run) -> None:
    shown = extended("-m", "ncavideo", "render", "--help").stdout
    part = " ".join(shown.split("Compositing:")[1].split("Motion and time:")[0].split())
    assert "--glow FLOAT Strength of the glow. [0 to 2; default: 0.25]" in part
    assert extended("docs/make_options.py").returncode == 0
    page = (extended.folder / "docs" / "options.md").read_text("utf-8")  # type: ignore[attr-defined]
    assert "| `--glow` | 0 to 2 | 0.25 | yes | look | Strength of the glow. |" in page


EVERYWHERE = """
import dataclasses, json, pathlib
from ncavideo import RenderOptions, UserError
from ncavideo.app import render_form
from ncavideo.batch.jobs import find_jobs
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering import api
from ncavideo.rendering.checkpoint import fingerprint
from ncavideo.rendering.command_line import option_words
from ncavideo.rendering.look_file import load_look

pathlib.Path("clip.mp4").write_bytes(b"clip")
pathlib.Path("warm.toml").write_text("rules = ['fire']\\nglow = 1\\n")
pathlib.Path("list.csv").write_text("clip,rules,glow,grain\\nclip.mp4,fire,1,film\\n")
ruleset = open_ruleset("elements")
first = RenderOptions(("fire",), keyframes=("glow@0=0,2=1",))
job, = find_jobs(["list.csv"], pathlib.Path("out"), {})

def key(**changes):
    return fingerprint(pathlib.Path("clip.mp4"), ruleset, dataclasses.replace(first, **changes))

def refused(**options):
    try:
        api.paint([], "fire", **options).__next__()
    except UserError as error:
        return str(error)
    except StopIteration:
        return ""

print(json.dumps({
    "at": first.at("glow", 1),
    "words": option_words(dataclasses.replace(first, glow=2.0, grain="film", hush=True)),
    "look": load_look(pathlib.Path("warm.toml"))["glow"],
    "list": [job.options.glow, job.options.grain],
    "keys": [key() == key(glow=1.0), key() == key(grain="film"), key() == key(hush=True)],
    "painted": [refused(glow=0.1), refused(grain="film"), refused(hush=True)],
    "form": ["glow" in render_form.PLAIN, "grain" in render_form.PLAIN],
}))
"""


def test_a_new_option_is_everywhere_else(extended: Run) -> None:
    done = extended("-c", EVERYWHERE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["at"] == 0.5
    assert found["words"] == [
        "--rules", "fire", "--glow", "2", "--grain", "film", "--hush",
        "--keyframes", "glow@0=0,2=1",
    ]  # fmt: skip
    assert found["look"] == 1.0
    assert found["list"] == [1.0, "film"]
    assert found["keys"] == [False, False, True]
    assert [bool(refusal) for refusal in found["painted"]] == [False, True, True]
    assert found["form"] == [True, False]


def test_a_new_option_has_a_component_in_the_window(extended: Run) -> None:
    pytest.importorskip("gradio")
    code = (
        "from ncavideo.app.render_view import TABLE, component_of\n"
        "glow = component_of(TABLE['glow'], 'Glow')\n"
        "print(glow.value, glow.minimum, glow.maximum)"
    )
    done = extended("-W", "ignore", "-c", code)
    assert done.stdout.split() == ["0.25", "0", "2"], done.stderr


def test_the_reference_is_what_the_table_says() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_options.py"))
    written = (ROOT / "docs" / "options.md").read_text("utf-8")
    assert written == script["page"](), "python docs/make_options.py writes it"


def test_the_help_lists_every_option_under_its_heading_in_order() -> None:
    shown = CliRunner().invoke(main, ["render", "--help"]).output
    headings = list(dict.fromkeys(option.heading for option in TABLE.values()))
    assert re.findall(r"^(\w.+):$", shown, re.M)[-len(headings):] == headings  # fmt: skip
    flags = [option.flag for option in TABLE.values() if option.flag]
    listed = re.findall(r"^  (--[\w-]+)", shown.split("\nRules:\n")[1], re.M)
    assert listed == flags


def test_every_option_says_what_it_is() -> None:
    for option in TABLE.values():
        assert option.help.endswith("."), option.name
        if option.default is None or option.default == ():
            assert option.automatic or option.name == "keyframes", option.name
        if option.bounds and option.default is not None:
            option.check(option.default)
        if option.keyed:
            assert option.bounds, option.name


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("steps", True, "a whole number"),
        ("steps", 1.5, "a whole number"),
        ("shade", "1", "a number"),
        ("shade", False, "a number"),
        ("flow", 1, "true or false"),
        ("blend", 1, "a text"),
        ("keyframes", [1], "a list of texts"),
    ],
)
def test_values_of_another_kind_are_refused(name: str, value: object, found: str) -> None:
    with pytest.raises(UserError, match=f"{name} in a.toml must be {found}"):
        TABLE[name].read(value, name, "a.toml")


def test_values_are_read_as_the_options_kind() -> None:
    assert TABLE["shade"].read(1, "shade", "a.toml") == 1.0
    assert TABLE["keyframes"].read("a@0=1", "keyframes", "a.toml") == ("a@0=1",)
