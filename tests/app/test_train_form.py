"""The Train tab's form, and its trainings, without a browser."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ncavideo.app.train_form import asked_recipe, sheet_every
from ncavideo.app.train_job import Training
from ncavideo.app.turn_queue import TurnQueue
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow

STYLES = Path(__file__).parents[2] / "examples" / "styles"


def recipe_form(**changes: Any) -> dict[str, Any]:
    rules = {f"{what}-{index}": None for what in ("rule", "prompt") for index in range(4)}
    return {"name": "My Set", "guide": "none", "size": 96, "iterations": 2000, "seed": None,
            "dream": False, "likeness": 0,
            **rules, **changes}  # fmt: skip


def test_a_recipe_of_the_form() -> None:
    values = recipe_form(**{"rule-0": "rust", "prompt-0": "flaking = rust", "rule-2": "ice"})
    recipe = asked_recipe(
        values, [[Path("/a/1.png"), Path("/a/2.png")], [], [Path("/a/3.png")], []]
    )
    assert (recipe.name, recipe.iterations, recipe.seed) == ("my-set", 2000, 0)
    assert [rule.name for rule in recipe.rules] == ["rust", "ice"]
    assert recipe.rules[0].prompt == ("flaking = rust",)
    assert [picture.path for picture in recipe.rules[0].style] == ["/a/1.png", "/a/2.png"]
    assert recipe.guide.kind == "none"
    by_words = {"guide": "imagenet", "dream": True, "likeness": 1, "prompt-0": "honeycomb"}
    drawn = asked_recipe(recipe_form(**{"rule-0": "bees"}, **by_words), [[]] * 4)
    assert (drawn.guide.dream, drawn.loss.likeness) == (200, 1.0)
    assert (recipe.guide.dream, recipe.loss.likeness) == (0, 0.0)
    assert sheet_every(100) == 10 and 2000 / sheet_every(2000) <= 24


@pytest.mark.parametrize(
    ("changes", "styles", "says"),
    [
        ({}, [[]] * 4, "at least one rule"),
        ({"name": " ", "rule-0": "a"}, [["x.png"], [], [], []], "name the rule set"),
        ({"prompt-1": "words"}, [[]] * 4, "rule 2 has no name"),
        ({"rule-0": "rust"}, [[]] * 4, "rust has no style picture"),
        ({"rule-0": "a", "dream": True}, [["x.png"], [], [], []], "draws with the guide imagenet"),
        ({"rule-0": "../rust"}, [["x.png"], [], [], []], "does not start with a name"),
        ({"rule-0": "a", "rule-1": "a"}, [["x.png"], ["y.png"], [], []], "'a' is named twice"),
    ],
)
def test_what_cannot_be_trained(
    changes: dict[str, Any], styles: list[list[str]], says: str
) -> None:
    paths = [[Path(path) for path in rule] for rule in styles]
    with pytest.raises(UserError, match=says) as caught:
        asked_recipe(recipe_form(**changes), paths)
    assert "--rule" not in str(caught.value) and "command line" not in str(caught.value)


def upload_in(folder: Path, style: str) -> Path:
    """A style picture as Gradio hands it over: under one name whatever is in it."""
    folder.mkdir()
    return Path(shutil.copy(STYLES / style, folder / "picture.png"))


def test_another_picture_is_another_training(tmp_path: Path) -> None:
    gradio = pytest.importorskip("gradio")
    from ncavideo.app.service import Service
    from ncavideo.app.train_tab import TrainTab

    service = Service(tmp_path / "service")
    service.root.mkdir()
    session = service.sessions.get("one")
    with gradio.Blocks():
        tab = TrainTab(service, gradio.Dropdown())
    values = {component: recipe_form()[name] for name, component in tab._inputs.items()}
    values |= dict.fromkeys(tab._styles)
    values[tab._inputs["rule-0"]] = "rust"
    values[tab._styles[0]] = [str(upload_in(tmp_path / "a", "bark.png"))]
    _, folder = tab._prepared(values, session)
    assert tab._prepared(values, session)[1] == folder, "the same again goes on"
    values[tab._styles[0]] = [str(upload_in(tmp_path / "b", "ice.png"))]
    other, elsewhere = tab._prepared(values, session)
    assert elsewhere != folder
    (picture,) = other.rules[0].style
    assert (elsewhere / picture.path).read_bytes() == (STYLES / "ice.png").read_bytes()
    values[tab._inputs["rule-0"]] = "No name"
    with pytest.raises(UserError):
        tab._prepared(values, session)
    assert {f.name for f in session.folder.glob("train-*")} == {folder.name, elsewhere.name}
    service.close()


@pytest.mark.parametrize("when", ["at once", "starting", "twice while training"])
def test_a_training_can_be_stopped_at_any_moment(when: str, tmp_path: Path) -> None:
    values = recipe_form(**{"rule-0": "rust", "size": 48})
    recipe = asked_recipe(values, [[STYLES / "bark.png"], [], [], []])
    (tmp_path / "recipe.toml").write_text(recipe.to_toml(tmp_path))
    output = tmp_path / "mine.safetensors"
    training = Training(tmp_path / "recipe.toml", output, tmp_path / "run", 100, TurnQueue())
    states = []
    for news in training.run():
        states.append(news.state)
        if when == "at once" or (when == "starting" and news.state == "starting"):
            threading.Timer(0.05 if when == "at once" else 1.5, training.stop).start()
        if when == "twice while training" and news.done > 3:
            process = training._worker._process
            assert process is not None
            training.stop()
            for _ in range(5):
                process.terminate()
                time.sleep(0.05)
    assert states[-1] == "stopped", states
    assert output.exists() == (when == "twice while training")
