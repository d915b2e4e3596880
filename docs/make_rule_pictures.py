"""Put every rule beside the picture that it was trained on: python docs/make_rule_pictures.py.

Writes `pictures/rules/SET.jpg`: a row a rule, from left to right its exemplar, the rule of SET and
that of SET-rich, all 256 pixels a side at a cell a pixel, under the exemplar's own light, as a clip
would give it. And `pictures/rules/SET-fine.jpg`: a column a rule, above its exemplar and below what
it draws, and `pictures/SET-fine.jpg`, a frame of the example clip. Those exemplars are not in the
repository; they are drawn by

    python examples/styles/make_styles.py --fine --out examples/styles/fine
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ncavideo.nca.catalog import presets
from ncavideo.nca.grow import grow
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.preview import finished_frame
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.style_picture import recipe_style
from ncavideo.util.pixels import luminance, to_bytes

HERE = Path(__file__).parent
STYLES = HERE.parent / "examples" / "styles"
FINE = "-fine"  # ends the name of a variant with a decoder
# With the two rules of the frame, the bright one first.
SETS = {"elements": ("water", "magma"), "earth": ("stone", "bark"), "cosmos": ("aurora", "crystal")}
CLIP, TIME = HERE.parent / "examples" / "clip.mp4", 2.8
SIDE, FINE_SIDE, GAP, LABEL = 256, 320, 6, 24  # pixels
STEPS, SEED = 800, 3
BLUR = 5.0  # pixels: over what surroundings light is seen, as in training


def light_of(exemplar: Image.Image, ruleset: RuleSet, blur: float = BLUR) -> np.ndarray:
    """Return the light `[side, side]`, 0..1, under which a rule set would draw a picture."""
    luma = luminance(np.asarray(exemplar, np.float32) / 255)
    around = cv2.GaussianBlur(luma, (0, 0), blur, borderType=cv2.BORDER_REFLECT_101)
    dark, bright = ruleset.provenance["light_scale"]
    return np.clip((around - dark) / (bright - dark), 0, 1).astype(np.float32)


def tile(ruleset: RuleSet, rule: str, exemplar: Image.Image) -> Image.Image:
    """Grow a rule's texture, `SIDE` pixels a side."""
    light = light_of(exemplar, ruleset)
    return Image.fromarray(to_bytes(grow(ruleset, {rule: 1.0}, light, steps=STEPS, seed=SEED)))


def picture(name: str) -> Image.Image:
    """Return the rows of one set and its richer variant."""
    sets = [open_ruleset(name), open_ruleset(f"{name}-rich")]
    rules = sets[0].rule_names
    width, height = 3 * SIDE + 2 * GAP, len(rules) * (SIDE + GAP) + LABEL
    page = Image.new("RGB", (width, height), (16, 16, 18))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for column, text in enumerate(("picture", name, f"{name}-rich")):
        draw.text((column * (SIDE + GAP) + 4, 3), text, (225, 225, 225), font)
    for row, rule in enumerate(rules):
        top = LABEL + row * (SIDE + GAP)
        exemplar = Image.open(STYLES / f"{rule}.png").convert("RGB").crop((0, 0, SIDE, SIDE))
        drawn = [tile(ruleset, rule, exemplar) for ruleset in sets]
        for column, part in enumerate((exemplar, *drawn)):
            page.paste(part, (column * (SIDE + GAP), top))
    return page


def fine_picture(name: str) -> Image.Image:
    """Return the columns of a set with a decoder, at the scale of its pictures."""
    ruleset, recipe = open_ruleset(name), load_recipe(presets()[name].with_suffix(".toml"))
    pixels = ruleset.pixels
    side = FINE_SIDE // pixels * pixels
    page = Image.new("RGB", (len(recipe.rules) * (side + GAP) - GAP, 2 * side + GAP))
    for column, rule in enumerate(recipe.rules):
        (style,) = rule.style
        exemplar = Image.fromarray(
            to_bytes(recipe_style(recipe, style, print)[:, :side, :side].permute(1, 2, 0).numpy())
        )
        light = light_of(exemplar, ruleset, recipe.loss.light_blur)
        cells = cv2.resize(light, None, fx=1 / pixels, fy=1 / pixels, interpolation=cv2.INTER_AREA)
        drawn = grow(ruleset, {rule.name: 1.0}, cells, steps=STEPS, seed=SEED, cell=pixels)
        for row, part in enumerate((exemplar, Image.fromarray(to_bytes(drawn)))):
            page.paste(part, (column * (side + GAP), row * (side + GAP)))
    return page


def main() -> None:
    """Write the pictures."""
    folder = HERE / "pictures" / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    for name, rules in SETS.items():
        picture(name).save(folder / f"{name}.jpg", quality=84)
        fine = name + FINE
        fine_picture(fine).save(folder / f"{fine}.jpg", quality=88)
        with tempfile.TemporaryDirectory() as place:
            frame = Path(place) / "frame.png"
            finished_frame(CLIP, frame, RenderOptions(rules, ruleset=fine), TIME)
            Image.open(frame).convert("RGB").save(HERE / "pictures" / f"{fine}.jpg", quality=84)


if __name__ == "__main__":
    main()
