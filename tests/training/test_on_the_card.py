"""Nothing of the loss is left on the CPU, and no iteration waits for the device."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_runs import SIZE, collected, tiny
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ncavideo.nca.model import Edge
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import MotionRecipe
from ncavideo.training.share import Share
from ncavideo.training.style import StyleLoss, _Layer
from ncavideo.training.text import TextGuide, cut_outs
from ncavideo.training.trainer import Trainer
from ncavideo.training.unroll_gpu import unroll_on_device
from ncavideo.training.vgg import VGGFeatures

pytestmark = pytest.mark.train


def elsewhere(vgg: VGGFeatures, device: torch.device | str) -> VGGFeatures:
    """Return the features on another device."""
    return VGGFeatures(vgg._layers, vgg._mean.flatten(), vgg._scale.flatten(), True, "", device)


@pytest.mark.parametrize("pictures", [2, 0])
def test_all_of_the_loss_is_on_the_card(vgg: VGGFeatures, pictures: int) -> None:
    """On tensors without numbers, which have a device and tell when two of them do not meet."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = elsewhere(vgg, "cuda")
        assert fake.device.type == "cuda"
        style = StyleLoss(fake, [[], []])
        weights = torch.zeros(2, 2, SIZE, SIZE, device="cuda")
        rgb = torch.rand(2, 3, SIZE, SIZE, device="cuda")
        if pictures:
            shape = (2 * SIZE * SIZE, 3)
            style.scales = [1.0]
            style._layers = [
                _Layer(torch.zeros(shape, device="cuda"), torch.zeros(2 * SIZE**2, device="cuda"))
            ]
            asked, light = weights.argmax(1).flatten(1), torch.rand(2, SIZE**2, device="cuda")
            distance = style._compare(0, rgb, asked, light, None)
            assert distance.device.type == "cuda"
        excess = style.corner_excess(rgb, weights, "wrap")
        assert excess.device.type == "cuda"


@pytest.mark.parametrize("decoder", [0, 5])
@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_an_iteration_does_not_wait_for_the_device(
    folder: Path, vgg: VGGFeatures, exemplars: list[Tensor], edge: float, decoder: int
) -> None:
    """Tensors on the device "meta" have no numbers: whoever looked at one would fail.

    Only what the log wants is read, all of it at once, at the very end.
    """
    device = torch.device("meta")

    class Guide(TextGuide):
        name = "a test's"

        def __call__(
            self, rgb: Tensor, rule: Tensor, edge: Edge, generator: torch.Generator | None = None,
            share: Share | None = None,
        ) -> Tensor:  # fmt: skip
            assert rgb.device == device and len(rule.tolist()) == len(rgb)
            parts = cut_outs(rgb, 2, 16, edge, generator)
            return parts.view(len(rgb), -1).mean(1)

    class Blind(Trainer):
        def _read(self, numbers: Tensor) -> list[float]:
            assert numbers.device == device
            return [0.0] * len(numbers)

    recipe = tiny(
        folder, light=True, long_rollout_probability=0.0, reflect=edge, batch=4, mixed=0.5, patch=40
    )
    model = dataclasses.replace(recipe.model, decoder=decoder, pixels=2)
    rules = [dataclasses.replace(r, prompt=("it",), stillness=True) for r in recipe.rules]
    rules[0] = dataclasses.replace(rules[0], motion=MotionRecipe(30, 0.25), stillness=False)
    loss = LossRecipe(colour=1.0, text=1.0, stillness=1.0, stillness_from=0.0)
    recipe = dataclasses.replace(recipe, rules=tuple(rules), model=model, loss=loss)
    style = StyleLoss(vgg, exemplars)
    style.vgg = elsewhere(vgg, device)
    style.judged, style.corner = style.judged.to(device), style.corner.to(device)
    style._layers = [_Layer(x.features.to(device), x.order.to(device)) for x in style._layers]
    trainer = Blind(recipe, style, device, Guide())
    terms = set[str]()
    for progress in trainer.run():
        terms |= set(progress.losses)
    everything = {"style", "colour", "overflow", "text", "brightness", "corner", "stillness"}
    everything |= {"motion"}
    assert terms == everything | {"total"} | ({"smooth"} if decoder else set())


def test_a_cards_way_learns_as_a_processors(
    folder: Path, style: StyleLoss, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(folder, iterations=3, precision="float32")
    _, ours = collected(recipe, style)
    monkeypatch.setattr("ncavideo.training.trainer.unroll", unroll_on_device)
    _, theirs = collected(recipe, style)
    for one, other in zip(ours, theirs, strict=True):
        assert one.losses["total"] == pytest.approx(other.losses["total"], rel=0.02)
