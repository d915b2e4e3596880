"""The command line of training: what its options make, and wrong usage in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_runs import RECIPE_TEXT

from ncavideo.cli.main import main
from ncavideo.nca.ruleset import RuleSet

pytestmark = pytest.mark.train

QUICK = ("--iterations", 3, "--size", 32, "--channels", 4, "--hidden", 8, "--device", "cpu")


def ncavideo(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_train_from_options(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = ncavideo(
        "train", "--rule", "fire=red flames", "--rule", "moss", "--style", "moss.png",
        "--style", "fire=fire.png", "--guide", "none", "-o", "my.safetensors", *QUICK,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    ruleset = RuleSet.load(folder / "my.safetensors")
    assert [(r.name, r.prompt, r.style) for r in ruleset.rules] == [
        ("fire", "red flames", "fire.png"), ("moss", "", "moss.png"),
    ]  # fmt: skip
    # What it printed is the recipe, and trains the same.
    (folder / "my.toml").write_text(done.stdout)
    again = ncavideo(
        "train", "my.toml", "-o", "again.safetensors", "--folder", "x", "--device", "cpu"
    )
    assert again.exit_code == 0, again.output
    assert (RuleSet.load(folder / "again.safetensors").w1 == ruleset.w1).all()


def test_training_goes_on_from_a_preset(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = ["train", "--rule", "ember", "--rule", "rust", "--style", "fire.png", *QUICK]
    mine = ("-o", "mine.safetensors")
    refused = ncavideo(*words, "--from", "tiny", *mine)
    assert refused.exit_code == 2
    assert "tiny has 4 channels and 32 hidden units" in refused.stderr
    unknown = ncavideo(*words, "--from", "tinny", *mine)
    assert unknown.exit_code == 2 and "'tinny'" in unknown.stderr
    assert not Path("mine.safetensors").exists() and not Path("runs").exists()
    done = ncavideo(*words, "--from", "tiny", "--channels", 4, "--hidden", 32, *mine, "--fresh")
    assert done.exit_code == 0, done.output
    assert 'start = "tiny"' in done.stdout
    assert RuleSet.open("mine.safetensors").provenance["start"]["name"] == "tiny"


def test_train_with_a_local_clip_checkpoint(
    folder: Path, clip_files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = ncavideo(
        "train", "--rule", "fire=red flames", "--rule", "moss=a green cushion",
        "--negative", "moss=plastic", "--style", "moss=moss.png", "--clip-model", clip_files[0],
        "--clip-weights", clip_files[1], "-o", "my.safetensors", *QUICK,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = RuleSet.load(folder / "my.safetensors").provenance
    assert told["guide"] == "open_clip tiny-clip tiny-clip.pt"
    assert str(folder.parent) not in json.dumps(told)


def test_prompts_without_weights_say_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    # Read from the environment when it is imported, as it may have been by now.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = ncavideo(
        "train", "--rule", "fire=red flames", "--style", "fire.png", "-o", "my.safetensors", *QUICK
    )
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert "--guide none" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a RECIPE"),
        (["--style", "fire.png", "-o", "a.safetensors"], "name a RECIPE"),
        (["--rule", "fire", "--style", "fire.png"], "-o my.safetensors"),
        (["tiny.toml", "--rule", "fire"], "--rule, not both: the recipe says it under [[rule]]"),
        (["tiny.toml", "--from", "tiny"], "--from, not both: the recipe says it under `start`"),
        (["tiny.toml", "--clip-model", "RN50"], "under `model` in [guide]"),
        (["tiny.toml", "--clip-weights", "openai"], "--clip-weights,"),
        (["tiny.toml", "--channels", "8"], "--channels,"),
        (["tiny.toml", "-o", "x" * 300 + ".safetensors"], "cannot be a file"),
        (["tiny.toml", "-o", "."], "must end in .safetensors"),
        (["tiny.toml", "-o", "out.png"], "must end in .safetensors"),
        (["tiny.toml", "-o", "folder.safetensors", "--overwrite"], "is a folder"),
        (["tiny.toml", "--folder", "tiny.toml"], "cannot be the run's folder"),
        (["tiny.toml", "--folder", "x" * 300], "cannot be the run's folder"),
        (
            ["--rule", "fire", "--style", "fire.png", "-o", "a.safetensors", "--vgg", "x" * 300],
            "unknown VGG weights",
        ),
        (
            ["--rule", "fire", "--style", "fire.png", "-o", "a.safetensors", "--from", "x" * 300],
            "no rule set",
        ),
        (["--rule", "fire=a", "--clip-model", "x" * 300, "-o", "a.safetensors"], "no model"),
        (["--rule", "fire", "--style", "none.png", "-o", "a.safetensors"], "none.png"),
        (["--rule", "fire", "--style", "fire.png", "-o", "x/y.safetensors"], "folder"),
        (["tiny.toml", "--log", "excel"], "--log"),
        (["tiny.toml", "--sheet-every", "0"], "--sheet-every"),
        (["tiny.toml", "--iterations", "0"], "--iterations"),
        (["none.toml"], "none.toml"),
    ],
)
def test_wrong_usage_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "tiny.toml").write_text(RECIPE_TEXT)
    (folder / "folder.safetensors").mkdir()
    done = ncavideo("train", *arguments, "--device", "cpu", "--quiet")
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not [path for path in folder.rglob("*.safetensors") if path.is_file()]


def test_a_missing_style_picture_is_all_that_is_said(tmp_path: Path) -> None:
    """The recipe that the options make was shown before it."""
    asked = ["train", "--rule", "fire=red flames", "--style", str(tmp_path / "gone.png")]
    done = CliRunner().invoke(main, [*asked, "-o", str(tmp_path / "fire.safetensors")])
    assert done.exit_code == 2
    assert not done.stdout
    assert "there is no style picture" in done.stderr
    assert list(tmp_path.iterdir()) == []
