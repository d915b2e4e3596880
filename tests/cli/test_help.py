"""Help, completion and messages about what is not known: fast, whole, and with the nearest name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from ncavideo.cli.main import COMMANDS, main
from ncavideo.nca.catalog import preset_rules
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering.look_file import load_look
from ncavideo.rendering.looks import looks
from ncavideo.rendering.options import CODEC_NAMES, RenderOptions
from ncavideo.still.options import parse_weights
from ncavideo.video.codecs import CODECS

HEAVY = ("numpy", "torch", "cv2", "av", "numba", "PIL", "safetensors", "ncavideo.nca.ruleset")
ASKED = f"""
import sys
from ncavideo.__main__ import run
try:
    run()
except SystemExit as end:
    found = {HEAVY!r}
    print([name for name in found if name in sys.modules], end.code, file=sys.stderr)
"""


def imported(words: list[str], **environment: str) -> str:
    """What of the heavy modules a command imports, and its exit code, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", ASKED, *words],
        capture_output=True, text=True, env={**os.environ, **environment}, check=True,
    )  # fmt: skip
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("words", [["--help"], ["render", "--help"], ["looks", "list"]])
def test_help_takes_no_heavy_import(words: list[str]) -> None:
    assert imported(words) in ("[] 0", "[] None")


@pytest.mark.parametrize("line", ["ncavideo render in.mp4 --rules fire,m", "ncavideo still --ru"])
def test_completion_takes_no_heavy_import(line: str) -> None:
    count = str(len(line.split()) - 1)
    asked = {"_NCAVIDEO_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": count}
    assert imported([], **asked).startswith("[] ")


def commands(command: click.Command, *names: str) -> list[tuple[str, ...]]:
    """The words of all commands that are no groups."""
    if not isinstance(command, click.Group):
        return [names]
    context = click.Context(command)
    found = ((name, command.get_command(context, name)) for name in command.list_commands(context))
    return [words for name, sub in found if sub for words in commands(sub, *names, name)]


@pytest.mark.parametrize("words", commands(main), ids=" ".join)
def test_every_command_has_an_example(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*words, "--help"]).output
    examples = re.findall(r"^ +ncavideo " + " ".join(words) + r"\b.*", shown, re.M)
    assert examples, shown


MOST = 16  # options that one can take in under one heading


@pytest.mark.parametrize("words", commands(main), ids=" ".join)
def test_long_help_stands_under_headings(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*words, "--help"]).output
    for section in re.split(r"^\w.*:$", shown, flags=re.M):
        assert len(re.findall(r"^  -", section, re.M)) <= MOST, section


@pytest.mark.parametrize("group", [(), ("presets",), ("looks",)], ids="-".join)
def test_no_summary_is_cut_off(group: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*group, "--help"]).output.partition("Commands:")[2]
    assert len(shown.splitlines()) > 3
    assert "..." not in shown
    assert all(line.rstrip().endswith(".") for line in shown.splitlines()[1:])


def test_a_summary_is_the_commands_own() -> None:
    context = click.Context(main)
    for name, home in COMMANDS.items():
        command = main.get_command(context, name)
        assert command is not None and command.name == name
        assert command.short_help == home.summary
    assert main.get_command(context, "nothing") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rendr", "in.mp4"], "there is no command 'rendr' (did you mean 'render'?)"),
        (["render", "in.mp4", "--look", "overgrow"], "(did you mean 'overgrown'?): use "),
        (["render", "in.mp4", "--rules", "fire", "--blend", "sreen"], "did you mean 'screen'?"),
        (["render", "in.mp4", "--rules", "fire", "--keyframes", "opacty@0=0"], "mean 'opacity'?"),
        (["render", "in.mp4", "--rules", "fire", "--end", "3"], "Did you mean '--duration'?"),
        (["render", "in.mp4", "--style", "fire"], "Did you mean '--rules'?"),
        (["presets", "list", "--end"], "No such option '--end'.\n"),
        (["presets", "show", "elemnts"], "did you mean 'elements'?"),
        (["export", "fire", "--html", "fire.html"], "it is in the preset elements"),
    ],
)
def test_the_nearest_name_is_suggested(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert [*tmp_path.iterdir()] == []


def test_the_nearest_control_rule_and_codec_are_suggested(tmp_path: Path) -> None:
    clip = tmp_path / "in.mp4"
    make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=0.4", str(clip)]
    subprocess.run(make, check=True)
    for words, said in (
        (["--rules", "fier"], "(did you mean 'fire'?)"),
        (["--rules", "fire", "--control", "egdes"], "(did you mean 'edges'?)"),
        (["--rules", "fire", "--codec", "ffv"], "(did you mean 'ffv1'?)"),
        (["--rules", "fire", "--engine", "fusd"], "(did you mean 'fused'?)"),
        (["--rules", "fire", "--device", "cpuu"], "(did you mean 'cpu'?)"),
    ):
        output = tmp_path / "out.mp4"
        done = CliRunner().invoke(main, ["render", str(clip), "-o", str(output), *words])
        assert done.exit_code == 2
        assert said in done.stderr, done.stderr
        assert not output.exists()


def test_names_are_taken_in_any_case() -> None:
    options = RenderOptions(
        rules=("Fire", "MOSS"), control=("Fire=motion",), keyframes=("Moss@0=0,1=1",)
    )
    assert options.rules == ("fire", "moss")
    assert set(options.curves) == {"moss"}
    assert parse_weights("Fire=0.25,moss") == {"fire": 0.25, "moss": 0.75}
    assert open_ruleset("Elements").name == "elements"
    assert load_look(Path("Overgrown")) == load_look(looks()["overgrown"].path)


def test_a_rule_shows_its_preset() -> None:
    shown = CliRunner().invoke(main, ["presets", "show", "Fire"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("the rule fire is in the preset elements\nelements: ")


def completed(*words: str) -> list[str]:
    """What a shell is offered for the last word."""
    asked = ShellComplete(main, {}, "ncavideo", "_NCAVIDEO_COMPLETE")
    return [item.value for item in asked.get_completions([*words[:-1]], words[-1])]


def test_values_are_completed() -> None:
    render = ("render", "in.mp4")
    assert completed(*render, "--rules", "fire,m") == ["fire,moss", "fire,magma"]
    assert completed(*render, "--rules", "auto:neb") == ["auto:nebula"]
    assert completed(*render, "--ruleset", "earth") == ["earth", "earth-fine", "earth-rich"]
    assert "fire=segment:person" in completed(*render, "--control", "fire=seg")
    assert completed(*render, "--control", "fire=hue:0-30,sm") == ["fire=hue:0-30,smooth="]
    assert completed(*render, "--opacity-control", "luminance:d") == ["luminance:dark"]
    assert completed(*render, "--blend", "s") == ["screen", "soft-light"]
    assert completed(*render, "--look", "over") == ["overgrown"]
    assert completed(*render, "--codec", "h") == ["h264", "h265"]
    assert completed(*render, "--engine", "fu") == ["fused"]
    assert completed("still", "--rules", "fire=0.5,mo") == ["fire=0.5,moss"]
    assert completed("looks", "show", "stained") == ["stained-glass"]
    assert completed("presets", "show", "cos") == ["cosmos", "cosmos-fine", "cosmos-rich"]
    assert completed("export", "ti") == ["tiny"]
    assert completed("pres") == ["presets"]


def test_what_is_offered_is_what_there_is() -> None:
    assert set(CODEC_NAMES) <= set(CODECS)
    for preset, rules in preset_rules().items():
        assert rules == open_ruleset(preset).rule_names


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("render in.mp4 --control fire=segment:per", "person"),
        ("render in.mp4 --control fire=mot", "motion"),
        ("render in.mp4 --rules fire,wat", "fire,water"),
    ],
)
def test_bash_completes_words_that_it_splits(typed: str, offered: str, tmp_path: Path) -> None:
    """Bash splits words at = and :, and puts in what follows the last of them."""
    (tmp_path / "ncavideo").write_text(f'#!/bin/sh\nexec {sys.executable} -m ncavideo "$@"\n')
    (tmp_path / "ncavideo").chmod(0o755)
    line = f"ncavideo {typed}"
    split = " ".join(f"'{word}'" for word in re.findall(r"[=:]|[^\s=:]+", line))
    script = (
        'eval "$(_NCAVIDEO_COMPLETE=bash_source ncavideo)"\n'
        f"COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({split})\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        '_ncavideo_completion ncavideo; echo "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.split() == [offered], done.stderr
