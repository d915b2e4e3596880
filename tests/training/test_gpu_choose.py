"""When a GPU trains with fused kernels, and the sentence that says why it does not."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any

import pytest
import torch

from ncavideo.nca.model import NCA
from ncavideo.training.curriculum import Curriculum
from ncavideo.training.gpu.choose import OPERAND, fused_iteration, obstacle
from ncavideo.training.gpu.memory import needed_bytes
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import ModelRecipe, Recipe, RuleRecipe, TrainingRecipe
from ncavideo.util.events import LOGGER

pytestmark = pytest.mark.gpu

CARD = torch.device("cuda")
GIGABYTE = 1_000_000_000


def recipe(model: dict[str, Any] | None = None, **training: object) -> Recipe:
    rules = tuple(RuleRecipe(name) for name in ("fire", "moss", "ice", "bark"))
    return Recipe("any", rules, ModelRecipe(**(model or {})), TrainingRecipe(**training))


@pytest.fixture(autouse=True)
def a_card_of_80_gb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have torch tell of a GPU's memory; nothing here computes on one."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (79 * GIGABYTE, 80 * GIGABYTE))


def test_most_recipes_are_taken() -> None:
    for taken in (
        recipe(),
        recipe(batch=8, size=192),
        recipe({"channels": 16, "hidden": 128}, batch=8, size=128, steps=(32, 56)),
        recipe({"decoder": 32}),
        dataclasses.replace(recipe(), loss=LossRecipe(metric="gram")),
    ):
        assert obstacle(taken, CARD, torch.bfloat16) == ""


@pytest.mark.parametrize(
    ("wanted", "dtype", "said"),
    [
        (recipe(precision="float32"), None, "`training.precision` is float32"),
        (recipe(), None, "no bfloat16 arithmetic"),
        (recipe({"channels": 40}), torch.bfloat16, "32 channels"),
        (recipe({"hidden": 300}), torch.bfloat16, "256 hidden units"),
        (recipe(batch=64, size=1024), torch.bfloat16, "lower `training.size`"),
        (recipe(batch=64, size=512), torch.bfloat16, "lower `training.batch`"),
        (recipe({"decoder": 32}, batch=64, size=256, patch=1024), torch.bfloat16, "training.patch"),
    ],
    ids=["float32", "old", "channels", "hidden", "addresses", "memory", "patch"],
)
def test_what_is_not_taken_is_said(wanted: Recipe, dtype: torch.dtype | None, said: str) -> None:
    reason = obstacle(wanted, CARD, dtype)
    assert said in reason and "\n" not in reason


def test_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "triton" else find(name)
    )
    assert "pip install triton" in obstacle(recipe(), CARD, torch.bfloat16)


def test_needed_memory_grows_with_what_is_kept() -> None:
    """Of 8 samples of 192x192 the states and changes alone take 0.9 GB."""
    sizes = [recipe(batch=b, size=s, steps=(24, 40)) for b, s in ((2, 96), (8, 192))]
    small, large = (needed_bytes(r) for r in sizes)
    assert 0.05 * GIGABYTE < small < 0.5 * GIGABYTE
    assert 1.5 * GIGABYTE < large < 4 * GIGABYTE
    assert needed_bytes(recipe(batch=8, size=192, steps=(24, 80))) > large + 0.8 * GIGABYTE


def test_needed_memory_grows_with_the_patch_that_a_decoder_draws() -> None:
    """Of a pixel, 32 hidden units in both states alone take 256 bytes; a grid is no larger."""
    sizes = [
        needed_bytes(recipe({"decoder": 32, "pixels": 4}, batch=8, size=64, patch=patch))
        for patch in (64, 128, 256, 1024)
    ]
    pixels = 8 * (256**2 - 128**2)
    assert sizes[0] < sizes[1] < sizes[2] - 256 * pixels
    assert sizes[2] == sizes[3]
    small = needed_bytes(recipe({"decoder": 8, "pixels": 4}, batch=8, size=64, patch=256))
    assert small < sizes[2]


def chosen(device: torch.device, wanted: Recipe) -> tuple[object, list[str]]:
    """Ask for fused kernels; return them, and the notes."""
    notes = list[str]()
    nca = NCA(wanted.model.channels, len(wanted.rules) + 1, wanted.model.hidden)
    curriculum = Curriculum(wanted, torch.Generator(), device)
    optimiser = torch.optim.Adam(nca.parameters())
    style: Any = None
    way = fused_iteration(nca, optimiser, curriculum, style, None, torch.bfloat16, notes.append)
    return way, notes


def test_a_cpu_has_its_own_way_and_says_nothing() -> None:
    assert chosen(torch.device("cpu"), recipe()) == (None, [])


def test_one_note_says_why_it_is_slow() -> None:
    way, notes = chosen(CARD, recipe({"channels": 40}))
    assert way is None and len(notes) == 1
    assert "without the fused kernels" in notes[0] and "32 channels" in notes[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="here the GPU works")
def test_a_gpu_that_fails_the_check_leaves_the_work_to_torch(
    gpu: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a GPU nothing can be compiled or run on it: one sentence, the log has the rest."""
    with caplog.at_level("INFO", LOGGER.name):
        way, notes = chosen(CARD, recipe())
    assert way is None and len(notes) == 1
    (record,) = [r for r in caplog.records if r.getMessage() == "train.fused-failed"]
    assert record.exc_info is not None
    assert "they failed (" in notes[0] and "\n" not in notes[0]


def test_the_check_tells_sound_kernels_from_broken_ones(
    gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ncavideo.training.gpu import check, unroll

    operand = OPERAND if gpu.type == "cuda" else torch.float32
    for name, smaller in (("BATCH", 1), ("HEIGHT", 9), ("WIDTH", 5), ("STEPS", 2)):
        monkeypatch.setattr(check, name, smaller)
    shape = (4, 2, 12, "reflect", operand, gpu)
    assert check.difference(*shape) < (check.TOLERANCE if gpu.type == "cuda" else 1e-5)
    unpack = unroll.unpack

    def spoilt(plan: Any, partial: torch.Tensor) -> tuple[torch.Tensor, ...]:
        w1, b1, w2 = unpack(plan, partial)
        return w1, b1 * torch.nan, w2

    monkeypatch.setattr(unroll, "unpack", spoilt)
    assert check.difference(*shape) > check.TOLERANCE
