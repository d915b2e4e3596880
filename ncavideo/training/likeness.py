"""The likeness loss: whether a texture's crops look to an ImageNet classifier as its pictures' do.

The style loss compares what small surroundings have, position by position, and on VGG16's deepest
map a sample has too few positions to tell facets from pebbles. A classifier's deeper layers do tell
them, from a crop as a whole: straight edges, rings, leaves. The measure is a distance to single
crops of the pictures, of about the same brightness: nothing looks like their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.efficientnet import load_efficientnet, precision, seen
from ncavideo.training.share import Share
from ncavideo.training.style import Exemplar
from ncavideo.training.text import cut_outs

SIDE = 192  # pixels a side that crops are resized to
SMALLEST_CUT = 0.6  # share of a sample's side
KNOWN = 96  # crops of each rule's pictures
AS_BRIGHT = 24  # of those: the ones that are nearest in brightness
NEAREST = 4  # of those: the ones that are nearest in what the network sees
LEAST_DEVIATION = 0.1  # of a feature, as a share of its layer's mean deviation
LEAST_SQUARE = 1e-6  # keeps the root's gradient finite


@dataclass(frozen=True)
class _Crops:
    """What the network sees in `KNOWN` crops of each rule's pictures.

    `features`: for each rule a `[KNOWN, F]` a layer, divided by `scales`, `[F]` each; `brightness`:
    for each rule the crops' means of RGB, `[KNOWN]`. Both are empty for a rule without pictures.
    """

    features: list[list[Tensor]]
    brightness: list[Tensor]
    scales: list[Tensor]


class Likeness:
    """The distance of samples to crops of their rules' pictures, by EfficientNet's features.

    `rules`: for each rule its exemplars, in which crops are drawn by weight; a rule without any is
    not judged. A feature counts in units of its deviation over the crops of all rules, a layer as
    much as any other. `size`: of the network. Raises `UserError` if a package is missing.
    """

    def __init__(
        self,
        rules: Sequence[Sequence[Exemplar]],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        size: str = "lite1",
    ) -> None:
        self.name = f"EfficientNet-{size} (ImageNet)"
        self.network = load_efficientnet(size, device, "`loss.likeness`")
        self.rules, self._device, self._dtype = rules, torch.device(device), dtype
        self.judged = [bool(exemplars) for exemplars in rules]
        self._known: dict[int, _Crops] = {}

    def __call__(
        self,
        rgb: Tensor,
        rule: Tensor,
        edge: Edge,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> Tensor:
        """Return the distance of each sample, `[B]`, differentiable.

        Arguments are those of a `TextGuide`. Unrelated textures are about 1.2 apart, crops of one
        picture 0.6.
        """
        parts = cut_outs(rgb, 1, SIDE, edge, generator, SMALLEST_CUT, share)
        if not len(rgb):
            return rgb.new_zeros(0)
        known = self._crops(min(rgb.shape[2:]))
        scaled = [f / s for f, s in zip(self._seen(parts), known.scales, strict=True)]
        losses = []
        for place, index in enumerate(rule.tolist()):
            away = (parts[place].detach().mean() - known.brightness[index]).abs()
            near = away.topk(AS_BRIGHT, largest=False).indices
            layers = zip(scaled, known.features[index], strict=True)
            each = [(own[place] - theirs[near]).square().mean(1) for own, theirs in layers]
            squares = torch.stack(each).mean(0).topk(NEAREST, largest=False).values
            losses.append((squares.mean() + LEAST_SQUARE).sqrt())
        return torch.stack(losses)

    def _seen(self, parts: Tensor) -> list[Tensor]:
        with precision(self._device, self._dtype):
            return seen(self.network, parts)

    def _crops(self, side: int) -> _Crops:
        """Return the crops that samples of `side` pixels are compared with."""
        if side not in self._known:
            self._known[side] = self._measure(side)
        return self._known[side]

    @torch.no_grad()
    def _measure(self, side: int) -> _Crops:
        generator = torch.Generator().manual_seed(side)
        found: list[list[Tensor]] = [[] for _ in self.rules]
        brightness = [torch.zeros(0)] * len(self.rules)
        for rule, exemplars in enumerate(self.rules):
            if not exemplars:
                continue
            weights = torch.tensor([e.weight for e in exemplars])
            chosen = torch.multinomial(weights, KNOWN, replacement=True, generator=generator)
            crops = torch.cat(
                [_crop(exemplars[index].rgb, side, generator) for index in chosen.tolist()]
            )
            brightness[rule] = crops.mean((1, 2, 3))
            parts = [self._seen(few) for few in torch.split(crops, 16)]
            found[rule] = [torch.cat(layer) for layer in zip(*parts, strict=True)]
        scales = []
        for layer in zip(*(each for each in found if each), strict=True):
            deviation = torch.cat(layer).std(0)
            scales.append(deviation + LEAST_DEVIATION * deviation.mean())
        features = [
            [f / s for f, s in zip(each, scales, strict=True)] if each else [] for each in found
        ]
        return _Crops(features, brightness, scales)


def _crop(picture: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return a cut-out of `[3, H, W]` as of a sample of `side` pixels, `[1, 3, SIDE, SIDE]`.

    Of a picture that is smaller, as much as there is.
    """
    side = min(side, *picture.shape[1:])
    top, left = (
        int(torch.randint(length - side + 1, (), generator=generator))
        for length in picture.shape[1:]
    )
    part = picture[None, :, top : top + side, left : left + side]
    return cut_outs(part, 1, SIDE, "reflect", generator, SMALLEST_CUT)
