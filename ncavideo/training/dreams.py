"""Pictures drawn from words: what classifiers take for a class, as an exemplar to train with.

A rule that learns from words alone has to find a pattern and its meaning at once, and stops at the
first grain that the guide half likes. A picture is free of that: its own pixels follow the guide to
the end in a minute, and what it shows is then a style like any other. No photograph is involved.

The picture is a torus, held as a spectrum so that fine and coarse parts change alike (Olah et al.,
"Feature Visualization", Distill 2017), with the colour axes of Ohta, Kanade and Sakai (1980). Two
networks judge it, as one alone is fooled by noise. It lies under a light from dark to bright, so
that a rule learns what the pattern looks like in either.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from ncavideo.training.imagenet import ImageNetGuide
from ncavideo.training.recipe import Recipe
from ncavideo.training.style_picture import load_style
from ncavideo.training.text import Prompts, TextGuide
from ncavideo.util.atomic_write import replacing
from ncavideo.util.errors import OutputError
from ncavideo.util.events import phase
from ncavideo.util.pixels import to_bytes

SIZES = ("lite0", "lite1")  # of EfficientNet
CUTOUTS, SMALLEST_CUT = 4, 0.2  # cut-outs for each network; a share of the picture's side
PRIOR = 0.3  # weight of the statistics of photographs
WIDER = 1.5  # the picture's side over that of a sample
LEAST, MOST = 192, 512  # pixels a side
RATE = 0.035
STARTS, TRIED = 3, 0.12  # pictures that are begun, and for which share of the iterations
KNEE = 12  # cycles across the picture: parts coarser than that hardly differ
SLOPE = 1.6  # of the spectrum's amplitude beyond the knee
FINEST = 0.25  # cycles a pixel: finer parts would be the checkerboards of a grid of such cells
SMOOTH = 30.0  # weight of the mean square of neighbours' differences
CONTRAST, LIGHT = 3.0, 1.0  # in logits: of the pattern, and of the light from its mean to its ends
AXES = (  # of colour, as rows of RGB: brightness, red against blue, green against magenta
    (0.577, 0.577, 0.577),
    (0.247, 0.0, -0.247),
    (-0.041, 0.082, -0.041),
)
GRAIN = 0.02  # deviation of the spectrum that a picture begins with
KEPT = "ncavideo-dream"  # what a kept picture was drawn from, in its file


def dreamt(
    recipe: Recipe, folder: Path | None, device: torch.device, note: Callable[[str], None]
) -> dict[str, Tensor]:
    """Return the pictures `[3, S, S]`, RGB 0..1, of the rules that have words and no picture.

    There are none where `guide.dream` is 0. `folder`: where they are kept, and looked for first;
    None keeps them nowhere. Raises `OutputError` if the folder cannot be written.
    """
    if not recipe.guide.dream:
        return {}
    rules = [rule for rule in recipe.rules if rule.prompt and not rule.style]
    side = recipe.training.size * recipe.model.pixels
    side = min(max(round(WIDER * side), LEAST), MOST)
    prompts = [Prompts(rule.prompt, rule.negative) for rule in rules]
    guides: list[ImageNetGuide] = []
    found: dict[str, Tensor] = {}
    for index, rule in enumerate(rules):
        seed = recipe.seed + recipe.rules.index(rule)
        drawn_from = {
            "wanted": [*rule.prompt], "unwanted": [*rule.negative], "side": side, "seed": seed,
            "iterations": recipe.guide.dream,
        }  # fmt: skip
        kept = None if folder is None else folder / f"{rule.name}.png"
        if kept is not None and _kept(kept) == drawn_from:
            found[rule.name] = load_style(kept)
            continue
        phase(f"drawing {rule.name} from its words")
        note(f"{rule.name} is drawn from its words first" + ("" if kept is None else f": {kept}"))
        guides = guides or [
            ImageNetGuide(
                prompts, cutouts=CUTOUTS, prior=PRIOR, size=size, smallest=SMALLEST_CUT,
                device=device,
            )
            for size in SIZES
        ]  # fmt: skip
        picture = dream(guides, index, side, recipe.guide.dream, seed, device).cpu()
        if kept is None:
            found[rule.name] = picture
            continue
        _keep(picture, kept, drawn_from)
        found[rule.name] = load_style(kept)  # as a run that goes on will have it
    return found


def dream(
    guides: Sequence[TextGuide],
    rule: int,
    side: int,
    iterations: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return a picture `[3, side, side]`, RGB 0..1, that the guides take for a rule's words.

    `rule`: its index in the guides' prompts. Of `STARTS` pictures that are begun the one goes on
    that they like best: a start in the wrong colour never finds the right one. (One that is not
    finite counts as the worst.)
    """
    generator = torch.Generator().manual_seed(seed)
    tried = max(1, round(TRIED * iterations))
    begun = [_Dream(guides, rule, side, generator, device) for _ in range(STARTS)]
    for each in begun:
        for done in range(tried):
            each.step(done / iterations)
    best = min(begun, key=lambda each: (math.isnan(each.loss), each.loss))
    for done in range(tried, iterations):
        best.step(done / iterations)
    with torch.no_grad():
        return best.picture()[0]


class _Dream:
    """A picture on its way. `loss`: the mean over its last steps, the later the heavier."""

    def __init__(
        self,
        guides: Sequence[TextGuide],
        rule: int,
        side: int,
        generator: torch.Generator,
        device: torch.device | str,
    ) -> None:
        self._guides, self._rule, self._side = guides, torch.tensor([rule]), side
        self._generator = generator
        rows, columns = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]
        cycles = side * (rows.square() + columns.square()).sqrt()
        size = cycles.clamp_min(KNEE) ** -SLOPE * (cycles / KNEE).clamp(max=1)
        size = size / (1 + (cycles / (FINEST * side)) ** 8)
        self._size = (size / size.mean())[..., None].to(device)
        grain = GRAIN * torch.randn(3, *cycles.shape, 2, generator=generator)
        self._spectrum = grain.to(device).requires_grad_()
        self._colour = torch.zeros(3, 1, 1, device=device, requires_grad=True)
        self._axes = torch.tensor(AXES, device=device)
        wave = LIGHT / 2 * torch.cos(2 * torch.pi * torch.arange(side, device=device) / side)
        self._light = wave[:, None] + wave
        self._optimiser = torch.optim.Adam([self._spectrum, self._colour], lr=RATE)
        self.loss = float("inf")

    def picture(self) -> Tensor:
        """Return `[1, 3, side, side]`."""
        spectrum = torch.view_as_complex(self._spectrum * self._size)
        parts = torch.fft.irfft2(spectrum, s=(self._side, self._side), norm="ortho")
        rgb = torch.einsum("cr,chw->rhw", self._axes, parts) + self._colour
        return torch.sigmoid(CONTRAST * rgb + self._light)[None]

    def step(self, done: float) -> None:
        """Change the picture a little. `done`: the share of all steps that were taken."""
        for group in self._optimiser.param_groups:
            group["lr"] = RATE * min(1.0, 2 * (1 - done))
        rgb = self.picture()
        zero = rgb.new_zeros(())
        loss = SMOOTH * sum(((rgb - rgb.roll(1, axis)).square().mean() for axis in (2, 3)), zero)
        for guide in self._guides:
            loss = loss + guide(rgb, self._rule, "wrap", self._generator)[0]
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        now = loss.item()
        self.loss = now if self.loss == float("inf") else 0.7 * self.loss + 0.3 * now


def _kept(path: Path) -> object:
    """Return what the picture of a file was drawn from; None where there is no such file."""
    try:
        with Image.open(path) as image:
            return json.loads(image.info.get(KEPT, "null"))
    except (OSError, ValueError):
        return None


def _keep(picture: Tensor, path: Path, drawn_from: dict[str, object]) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text(KEPT, json.dumps(drawn_from))
    pixels = to_bytes(picture.permute(1, 2, 0).numpy())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            Image.fromarray(pixels).save(partial, pnginfo=info)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
