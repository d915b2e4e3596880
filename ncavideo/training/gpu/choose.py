"""Whether training takes the fused way, and the sentence that says why not. Needs no Triton."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from ncavideo.training.curriculum import Curriculum
from ncavideo.training.gpu import plan
from ncavideo.training.gpu.memory import needed_bytes
from ncavideo.training.likeness import Likeness
from ncavideo.training.process_group import ALONE, ProcessGroup, agree
from ncavideo.training.recipe import Recipe
from ncavideo.training.seen import Patches
from ncavideo.training.share import Share
from ncavideo.training.style import StyleLoss
from ncavideo.training.text import TextGuide
from ncavideo.util.errors import ran_out
from ncavideo.util.events import caught

if TYPE_CHECKING:
    from ncavideo.nca.model import NCA
    from ncavideo.training.gpu.iteration import FusedIteration

SLOWLY = "training runs without the fused kernels for GPUs, many times slower: {}"
OPERAND = torch.float16  # more exact than bfloat16 for states, which stay within its range


def obstacle(
    recipe: Recipe, device: torch.device, dtype: torch.dtype | None, processes: int = 1
) -> str:
    """Return why a GPU cannot train the recipe with fused kernels, empty if it can.

    `dtype`: the precision of matrix products there, None for float32; `processes`: among which each
    batch is shared.
    """
    model, stages = recipe.model, [recipe.training, *(s.training for s in recipe.stages)]
    inputs = len(recipe.rules) + model.light
    largest = max(Share.most(processes, min(r.batch, r.pool)) * r.size**2 for r in stages)
    if recipe.training.precision == "float32":
        return "`training.precision` is float32 (auto and bfloat16 use them)"
    if dtype is None:
        return "this GPU has no bfloat16 arithmetic (compute capability 8.0 or later has)"
    if torch.version.hip is not None:
        return "they are for NVIDIA GPUs"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (pip install triton)"
    if not plan.fits(model.channels, inputs, model.hidden):
        return (
            f"they take {plan.MOST_CHANNELS} channels, {plan.MOST_INPUTS} rules and lights and"
            f" {plan.MOST_HIDDEN} hidden units at most"
        )
    if not plan.addressable(model.channels, largest, 1):
        return "a batch has too many cells (lower `training.size` or `training.batch`)"
    needed, free = needed_bytes(recipe, processes), torch.cuda.mem_get_info(device)[0]
    if needed > free:
        gigabytes = f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on the GPU"
        patch = "`training.patch`, " if model.decoder else ""
        return (
            f"they take {gigabytes} (lower {patch}`training.batch`, `training.steps` or"
            " `training.size`)"
        )
    return ""


def fused_iteration(
    nca: NCA,
    optimiser: torch.optim.Optimizer,
    curriculum: Curriculum,
    style: StyleLoss,
    guide: TextGuide | None,
    dtype: torch.dtype | None,
    note: Callable[[str], None],
    group: ProcessGroup = ALONE,
    patches: Patches | None = None,
    likeness: Likeness | None = None,
) -> FusedIteration | None:
    """Return what takes iterations with fused kernels, None where plain torch has to do.

    On a GPU `note` is then told why. The kernels are compiled and compared with plain torch first.
    All processes of `group` take the same way.
    """
    recipe, device = curriculum.recipe, curriculum.device
    if device.type != "cuda":
        return None
    reason = obstacle(recipe, device, dtype, group.size)
    found = None
    if not reason:
        try:
            from ncavideo.training.gpu import check
            from ncavideo.training.gpu.iteration import FusedIteration

            shape = nca.channels, nca.inputs, nca.hidden
            error = max(
                check.difference(*shape, edge, OPERAND, device) for edge in ("wrap", "reflect")
            )
            if error < check.TOLERANCE:
                found = FusedIteration(
                    nca, optimiser, curriculum, style, guide, OPERAND, group, patches, likeness
                )
            else:
                reason = f"their results are off by {error:.0%} on this GPU (try another Triton)"
        except Exception as problem:
            if ran_out(problem):
                raise
            reason = failed(problem)
    if agree(group, found is not None, device):
        return found
    note(SLOWLY.format(reason or "they do not run on another of the GPUs"))
    return None


def failed(problem: Exception) -> str:
    """Return that the kernels failed, and with what; the log gets the traceback.

    Compilers and drivers fail in ways of their own, and a fault of ours must not hide behind them.
    """
    caught("train.fused-failed")
    said = next(iter(str(problem).splitlines()), "")
    return f"they failed ({type(problem).__name__}{': ' * bool(said)}{said})"
