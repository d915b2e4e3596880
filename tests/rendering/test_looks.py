"""The looks that ship: by name, listed, shown, and drawn on one moment of a clip."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from PIL import Image

from ncavideo.cli.main import main
from ncavideo.rendering import look_sheet
from ncavideo.rendering.look_file import load_look
from ncavideo.rendering.looks import look_path, looks
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "in.mp4"
    make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=96x54:r=5:d=1", str(path)]
    subprocess.run(make, check=True)
    return path


def test_every_look_says_what_it_is_in_one_line() -> None:
    assert len(looks()) >= 8
    assert {"overgrown", "readable", "wild"} <= set(looks())
    for look in looks().values():
        assert 20 < len(look.summary) <= 95 and look.summary.endswith(".")
        assert RenderOptions(**load_look(Path(look.name))).rules


def test_the_list_is_readable_and_as_json() -> None:
    listed = CliRunner().invoke(main, ["looks", "list"])
    assert listed.stdout.count("\n") == len(looks())
    found = json.loads(CliRunner().invoke(main, ["looks", "list", "--json"]).stdout)
    assert found == {look.name: look.summary for look in looks().values()}


def test_a_look_is_shown_with_the_command_line_that_does_the_same() -> None:
    shown = CliRunner().invoke(main, ["looks", "show", "overgrown"])
    assert shown.stdout.strip() == looks()["overgrown"].path.read_text("utf-8").strip()
    assert (
        "ncavideo render in.mp4 --rules moss --ruleset elements-fine --control moss="
        in shown.stderr
    )
    facts = json.loads(CliRunner().invoke(main, ["looks", "show", "wild", "--json"]).stdout)
    assert facts["name"] == "wild" and facts["options"]["cell"] == 4


@pytest.mark.parametrize(
    ("words", "steps", "rate"),
    [([], None, 90.0), (["--steps", "4"], 4, None), (["--steps-per-second", "30"], None, 30.0)],
)
def test_steps_of_the_command_line_take_the_place_of_the_looks(
    words: list[str], steps: int | None, rate: float | None
) -> None:
    """Polar night has steps a second, beside which steps a frame were ignored."""
    with patch("ncavideo.rendering.render.render", side_effect=KeyboardInterrupt) as render:
        CliRunner().invoke(main, ["render", "in.mp4", "--look", "polar-night", *words])
    options = render.call_args.args[2]
    assert (options.steps, options.steps_per_second) == (steps, rate)


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "overgrown").write_text('rules = ["fire"]\n')
    assert load_look(Path("overgrown")) == {"rules": ("fire",)}
    assert look_path(Path("wild")) == looks()["wild"].path
    for name in ("wilder.toml", "folder/wild"):
        with pytest.raises(UserError, match="there is no look"):
            load_look(Path(name))
    with pytest.raises(UserError, match=r"did you mean 'wild'\?\): use burning-edges, .*, or name"):
        load_look(Path("widl"))


@pytest.mark.slow
def test_the_sheet_draws_the_clip_and_every_look(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {name: looks()[name] for name in ("wild", "overgrown", "mosaic")}
    monkeypatch.setattr(look_sheet, "looks", lambda: chosen)
    output = tmp_path / "sheet.png"
    done = CliRunner().invoke(main, ["looks", "sheet", str(clip), "-o", str(output)])
    assert done.exit_code == 0, done.output
    with Image.open(output) as sheet:
        assert sheet.size == (3 * 480, 2 * (270 + 26))
        tiles = [
            sheet.crop((x * 480, y * 296 + 26, x * 480 + 480, y * 296 + 296)).tobytes()
            for y in range(2)
            for x in range(3)
        ]
    assert len(set(tiles[:4])) == 4
    again = CliRunner().invoke(main, ["looks", "sheet", str(clip), "-o", str(output)])
    assert again.exit_code == 2 and "exists" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "sheet.jpg"], "must end in .png"),
        (["-o", "sheet.png", "--at", "7"], "--at must lie between 0 and"),
        (["-o", "sheet.png", "--at", "nan"], "--at must lie between 0 and"),
    ],
)
def test_a_sheet_that_cannot_be_is_one_sentence(
    words: list[str], said: str, clip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["looks", "sheet", str(clip), *words])
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4"}
