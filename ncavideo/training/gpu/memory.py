"""How much memory the fused way of an iteration takes, before any is asked for."""

from __future__ import annotations

from ncavideo.nca.model import FILTERS
from ncavideo.training.metrics import PROJECTIONS
from ncavideo.training.recipe import Recipe, TrainingRecipe
from ncavideo.training.seen import cells_across
from ncavideo.training.share import Share
from ncavideo.training.style import POSITIONS
from ncavideo.training.vgg import BLOCKS

FLOAT, HALF = 4, 2  # bytes
# Of each convolution: its result, that with bias and rim, and both gradients.
COPIES = 4
SORTED = 7 * 2 * 3  # maps, ours and theirs, each with its order and gradient
# Of a hidden unit of a decoder at a pixel: both states' results, and what the second one's result
# and gradient come from; and of a colour.
DRAWN, COLOURED = 5, 10


def needed_bytes(recipe: Recipe, processes: int = 1) -> int:
    """Return about how many bytes of the GPU the largest stage takes, beside its pool.

    `processes`: among which each batch is shared, on a GPU each.
    """
    stages = [recipe.training, *(stage.training for stage in recipe.stages)]
    return max(_of_stage(recipe, r, processes) for r in stages)


def _of_stage(recipe: Recipe, r: TrainingRecipe, processes: int) -> int:
    model, channels, rules = recipe.model, recipe.model.channels, len(recipe.rules)
    cells, batch = r.size**2, Share.most(processes, min(r.batch, r.pool))
    steps = (r.steps[1] + 2) * channels * (FLOAT + HALF) + 2 * FILTERS * channels * HALF
    maps = (rules + 8 + 4 * channels) * FLOAT
    features = sum(count * width / (1 << 2 * level) for level, (count, width) in enumerate(BLOCKS))
    judged = features * COPIES * HALF + (3 + 3) * COPIES * FLOAT
    seen = cells  # pixels that are judged
    if model.decoder:
        seen = (cells_across(r.patch, model.pixels, r.size) * model.pixels) ** 2
        judged += (DRAWN * model.decoder + COLOURED * 3 + rules) * FLOAT
    sorts = SORTED * PROJECTIONS * POSITIONS * 2 * FLOAT
    return round(batch * (cells * (steps + maps) + seen * judged + sorts))
