"""Options by the names that they had before: they work for one release, with a notice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ncavideo.batch.jobs import find_jobs
from ncavideo.cli.main import main
from ncavideo.rendering.api import _options
from ncavideo.rendering.look_file import load_look
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError
from ncavideo.util.former_names import notice

RULES = ("fire", "moss")
NOTICE = "tempo is now steps_per_second; the old name works in version 0.1 only"


@pytest.fixture
def notices(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    notice.cache_clear()
    with caplog.at_level(logging.WARNING, "ncavideo"):
        yield caplog
    notice.cache_clear()


def test_arguments(notices: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        options = RenderOptions(RULES, tempo=90.0, keys=("tempo@0=0,1=5",))  # type: ignore
        assert options.steps_per_second == 90.0
        assert options.keyframes == ("steps_per_second@0=0,1=5",)
    assert notices.messages[0] == NOTICE
    assert len(notices.messages) == 2  # once for each name
    assert _options("fire,moss", {"keys": "tempo@0=1"}).curves["steps_per_second"].at(0) == 1
    with pytest.raises(UserError, match="tempo and steps_per_second are the same option"):
        RenderOptions(RULES, steps_per_second=1.0, tempo=2.0)  # type: ignore


def test_a_rule_may_have_such_a_name(notices: pytest.LogCaptureFixture) -> None:
    assert RenderOptions(("tempo",), keyframes=("tempo@0=1",)).keyframes == ("tempo@0=1",)
    assert not notices.messages


def test_look_files(notices: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    look = tmp_path / "old.toml"
    look.write_text('rules = ["fire"]\ntempo = 50\nkeys = ["opacity@0=0,1=1"]\n')
    found = load_look(look)
    assert found == {
        "rules": ("fire",), "steps_per_second": 50.0, "keyframes": ("opacity@0=0,1=1",),
    }  # fmt: skip
    assert NOTICE in notices.messages
    look.write_text("tempo = 50\nsteps-per-second = 60\n")
    with pytest.raises(UserError, match="has steps_per_second twice"):
        load_look(look)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "clip,tempo,keys\na.mp4,50,opacity@0=0\n"),
        ("list.toml", '[[job]]\nclip = "a.mp4"\ntempo = 50\nkeys = "opacity@0=0"\n'),
    ],
)
def test_batch_lists(
    notices: pytest.LogCaptureFixture, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    (job,) = find_jobs([str(tmp_path / name)], tmp_path / "out", {"rules": RULES})
    assert job.options.steps_per_second == 50.0
    assert job.options.keyframes == ("opacity@0=0",)
    assert NOTICE in notices.messages


def test_the_command_line(notices: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    words = ["render", "--rules", "fire", "--tempo=-1", "--key", "opacity@0=0", "none.mp4"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "--tempo is now --steps-per-second; the old name works" in done.stderr
    assert "--key is now --keyframes" in done.stderr
    assert "--steps-per-second must lie between 0 and 100000, not -1" in done.stderr
    shown = CliRunner().invoke(main, ["render", "--help"]).output
    assert "--tempo" not in shown
    # A clip may be called so.
    done = CliRunner().invoke(main, ["render", "--rules", "fire", "--", "--tempo"])
    assert "--tempo" in done.stderr.splitlines()[-1]
    assert "is now" not in done.stderr
