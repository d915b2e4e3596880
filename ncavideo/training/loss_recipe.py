"""The [loss] part of a recipe: what a run is judged by."""

from __future__ import annotations

from dataclasses import dataclass

from ncavideo.training.recipe_fields import choice, number

LIGHT_BLUR = 5.0  # pixels of a style picture
METRICS = ("sliced-wasserstein", "relaxed-transport", "gram")


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the loss terms, and the style distance.

    `corner` forbids more energy near the grid's Nyquist corner, the checkerboard, than the exemplar
    has. `colour` counts pixels once more, which weigh little beside VGG's features: lines of a
    colour that no exemplar has. `stillness` applies to samples whose condition did not change, over
    eight steps, those of a video frame, and only from the share `stillness_from` of the iterations
    on: a texture finds its shapes before it holds them. `motion` applies from the first iteration
    on; a texture that stands still has a loss of 1. `smooth` keeps what a decoder draws from
    locking to the lattice of cells. `light_blur` decides what `style` and `brightness` take for
    light; finer light and dark are the texture's own, but where the light has finer detail, which
    may be an eye, `form` has brightness follow it. `likeness` judges samples of one rule as a
    whole, which tells facets from pebbles.
    """

    metric: str = choice(
        METRICS,
        "style distance (Heitz et al. 2021, Kolkin et al. 2019, Gatys et al. 2015)",
        flag="--metric",
        metavar="NAME",
        meaning="style distance",
    )
    style: float = number(1.0, 0, 1e6, "weight of the style pictures")
    colour: float = number(0.0, 0, 1e6, "weight of the style pictures' colours, beside `style`")
    likeness: float = number(
        0.0,
        0,
        1e6,
        "weight of looking like crops of the style pictures to an ImageNet classifier: straight"
        " edges, rings, leaves (EfficientNet; needs `ncavideo[imagenet]`)",
        flag="--likeness",
        metavar="WEIGHT",
        meaning="weight of looking like the style pictures to an ImageNet classifier",
    )
    text: float = number(2.0, 0, 1e6, "weight of the prompts")
    overflow: float = number(50.0, 0, 1e6, "weight against state values out of range")
    brightness: float = number(10.0, 0, 1e6, "weight of blurred luminance following the light")
    form: float = number(
        0.0, 0, 1e6, "weight of luminance following detail of the light finer than `light_blur`"
    )
    light_blur: float = number(
        LIGHT_BLUR,
        0.5,
        100,
        "pixels over which luminance is blurred before it counts as light: under even light a"
        " texture has no light and dark that is wider",
    )
    corner: float = number(0.1, 0, 1e6, "weight against more checkerboard than the picture has")
    stillness: float = number(
        2.0,
        0,
        1e6,
        "weight of an old sample keeping its picture over eight steps, those of a frame",
    )
    stillness_from: float = number(
        0.625,
        0,
        1,
        "share of the iterations after which `stillness` applies",
        former=("still_from",),
    )
    motion: float = number(1.0, 0, 1e6, "the same for a rule with a motion, for the warped picture")
    smooth: float = number(
        2.0, 0, 1e6, "weight against states that change from cell to cell, for a decoder"
    )
