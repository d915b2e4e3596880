"""The style loss: a distance between feature distributions (see `metrics`), under conditions.

Features are VGG16's. Two things are added here.

*Detail bands.* VGG's max-pooling hides a one-pixel checkerboard from every deep layer, so the
three Haar detail bands of the luminance (2x2, stride 1) are one more feature map.

*Conditions.* A sample may show several rules and many lights at once. Each of its positions asks
for a rule and a light, and draws its counterpart from the exemplar positions that have them.
Then the condition itself is appended to both clouds as further coordinates: the distance is that
of the joint distribution, so the right stuff has to be in the right place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca import Edge
from ncavideo.training.metrics import METRICS
from ncavideo.training.vgg import VGGFeatures

LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. ITU-R BT.709
LIGHT_BLUR = 5.0  # px: over what surroundings an exemplar's brightness is judged
LIGHT_SPREAD = 0.08  # of the light scale: how far a counterpart's light may lie from the asked one
LIGHT_WEIGHT = 2.5  # the light coordinate's weight beside features of deviation 1
RULE_WEIGHT = 2.0  # the same for the rule coordinates
POSITIONS = 2304  # positions compared on large maps: a fresh random choice every time
LIGHT_SCALE = (0.08, 0.72)  # blurred luminance that light 0 and 1 stand for, without exemplars
SEAM = 2.5  # a jump across a picture's edge by this much more than inside is a seam
QUANTILE_LIMIT = 1 << 24  # torch's quantile takes no more numbers
DEFAULT_CORNER = 4e-5  # checkerboard energy allowed to a rule without exemplars
LEAST_CORNER = 1e-7  # checkerboard energy that nobody sees: a deviation of 0.0003
DEEP = 5  # index of the first map too coarse to tell two rules apart across a border


def linear(rgb: Tensor) -> Tensor:
    """Return sRGB values in linear light (IEC 61966-2-1)."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(rgb: Tensor) -> Tensor:
    """Return the weighted sum of the (gamma-encoded) channels: `[B, 3, H, W]` to `[B, H, W]`."""
    r, g, b = LUMINANCE
    return r * rgb[:, 0] + g * rgb[:, 1] + b * rgb[:, 2]


def blur(image: Tensor, sigma: float, edge: Edge = "wrap") -> Tensor:
    """Blur `[B, H, W]` with a Gaussian of `sigma` px, separably."""
    radius = min(int(3 * sigma + 0.5), min(image.shape[1:]) - 1)
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    mode = "circular" if edge == "wrap" else "reflect"
    padded = F.pad(image[:, None], (radius,) * 4, mode=mode)
    out = F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return out[:, 0]


def haar_details(rgb: Tensor, edge: Edge = "wrap") -> Tensor:
    """Return the luminance's three Haar detail bands at stride 1, `[B, 3, H, W]`."""
    mode = "circular" if edge == "wrap" else "replicate"
    padded = F.pad(luminance(rgb)[:, None], (0, 1, 0, 1), mode=mode)[:, 0]
    y, right = padded[:, :-1, :-1], padded[:, :-1, 1:]
    below, corner = padded[:, 1:, :-1], padded[:, 1:, 1:]
    horizontal = y - right + below - corner
    vertical = y + right - below - corner
    diagonal = y - right - below + corner
    return torch.stack([horizontal, vertical, diagonal], 1) / 2


def checkerboard_energy(rgb: Tensor, edge: Edge) -> Tensor:
    """Return the luminance's local energy near the Nyquist corner, `[B, H, W]`.

    The fourth difference in both directions, whose gain is sin(pi f)**4 in each: 1 for a one-pixel
    checkerboard, 0.06 at half that frequency.
    """
    kernel = torch.tensor([1.0, -4.0, 6.0, -4.0, 1.0], dtype=rgb.dtype, device=rgb.device) / 16
    mode = "circular" if edge == "wrap" else "reflect"
    padded = F.pad(luminance(rgb)[:, None], (2, 2, 2, 2), mode=mode)
    out = F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, 5)), kernel.view(1, 1, 5, 1))
    return out[:, 0].square()


def feature_maps(vgg: VGGFeatures, rgb: Tensor, edge: Edge) -> list[Tensor]:
    """Return the maps that style is compared on: pixels, Haar bands, then VGG's five."""
    return [rgb, haar_details(rgb, edge), *vgg(rgb, edge)]


def seamless(rgb: Tensor) -> bool:
    """Return whether a picture `[3, H, W]` goes on across its edges as it does inside."""
    for axis in (1, 2):
        inside = rgb.diff(dim=axis).abs().mean()
        across = (rgb.select(axis, 0) - rgb.select(axis, -1)).abs().mean()
        if float(across) > SEAM * float(inside):
            return False
    return True


def _even_choice(
    maps: list[Tensor], lights: list[Tensor], weights: list[float], count: int
) -> tuple[Tensor, Tensor]:
    """Choose `count` positions from one rule's maps `[F, h, w]`, shared out by weight.

    From each map they are spread evenly over its lights. Returns the features `[count, F]` and
    the lights `[count]`, both ordered by light.
    """
    total, ends, start = sum(weights), [], 0.0
    for weight in weights:
        start += weight / total * count
        ends.append(round(start))
    features, found, begin = [], [], 0
    for m, light, end in zip(maps, lights, ends, strict=True):
        local = F.adaptive_avg_pool2d(light[None], (m.shape[1], m.shape[2])).flatten()
        order = local.argsort()
        places = torch.arange(end - begin, device=m.device) * len(order) // max(end - begin, 1)
        features.append(m.flatten(1).t()[order[places]])
        found.append(local[order[places]])
        begin = end
    together = torch.cat(found)
    order = together.argsort(stable=True)
    return torch.cat(features)[order], together[order]


@dataclass(frozen=True)
class Exemplar:
    """A style picture `[3, H, W]`, RGB 0..1, and its weight among those of its rule."""

    rgb: Tensor
    weight: float = 1.0


@dataclass
class _Layer:
    """One feature map of all exemplars.

    `features` `[R * M, F]`: M positions of each of R rules, ordered by light within a rule;
    `light` `[R, M]`: their blurred luminance, ascending.
    """

    features: Tensor
    light: Tensor


class StyleLoss:
    """The conditional distance, by one of the `METRICS`, to each rule's exemplars.

    `rules`: for each rule its exemplars; a bare picture is one of weight 1. A rule without any is
    not judged by style. The light scale 0..1 spans the mean range of their blurred luminances, so
    equal light is equal brightness whatever the rule; without exemplars it is `LIGHT_SCALE`.
    """

    def __init__(
        self,
        vgg: VGGFeatures,
        rules: Sequence[Tensor | Sequence[Exemplar]],
        metric: str = "sliced-wasserstein",
    ) -> None:
        self.vgg, self.metric, self.rules = vgg, METRICS[metric], len(rules)
        pictures = [[Exemplar(r)] if isinstance(r, Tensor) else list(r) for r in rules]
        self.judged = torch.tensor([bool(group) for group in pictures])
        self.dark, self.bright = LIGHT_SCALE
        self.corner = torch.full((self.rules,), DEFAULT_CORNER)
        self.scales: list[float] = []
        self.brightness: list[float | None] = [None] * self.rules  # mean luminance, linear light
        self._layers: list[_Layer] = []
        first = next((group[0].rgb for group in pictures if group), None)
        if first is None:
            return
        self.judged, self.corner = self.judged.to(first.device), self.corner.to(first.device)
        with torch.no_grad():
            self._measure(pictures)

    def _measure(self, pictures: list[list[Exemplar]]) -> None:
        """Take the exemplars' features and lights."""
        ends, maps, lights = [], [], []
        for rule, group in enumerate(pictures):
            edges: list[Edge] = ["wrap" if seamless(e.rgb) else "reflect" for e in group]
            maps.append(
                [
                    [m[0] for m in feature_maps(self.vgg, e.rgb[None], edge)]
                    for e, edge in zip(group, edges, strict=True)
                ]
            )
            lights.append(
                [
                    blur(luminance(e.rgb[None]), LIGHT_BLUR, edge)
                    for e, edge in zip(group, edges, strict=True)
                ]
            )
            if group:
                everything = torch.cat([light.flatten()[::7] for light in lights[-1]])
                share = torch.tensor([0.04, 0.96], device=everything.device)
                ends.append(torch.quantile(everything[-QUANTILE_LIMIT:], share))
                energies = [
                    checkerboard_energy(e.rgb[None], edge).mean()
                    for e, edge in zip(group, edges, strict=True)
                ]
                self.corner[rule] = torch.stack(energies).mean()
                shining = [luminance(linear(e.rgb[None])).mean() for e in group]
                self.brightness[rule] = float(torch.stack(shining).mean())
        self.dark, self.bright = torch.stack(ends).mean(0).tolist()
        for index in range(len(next(m for m in maps if m)[0])):
            group_maps = [[m[index] for m in of_rule] for of_rule in maps]
            every = [m for of_rule in group_maps for m in of_rule]
            variance = torch.stack([m.flatten(1).var(1).mean() for m in every]).mean()
            self.scales.append(float(variance.sqrt()))
            count = max(m[0].numel() for m in every)
            features, ordered = [], []
            for group, of_rule, of_light in zip(pictures, group_maps, lights, strict=True):
                if not group:
                    features.append(every[0].new_zeros(count, len(every[0])))
                    ordered.append(every[0].new_zeros(count))
                    continue
                found, light = _even_choice(of_rule, of_light, [e.weight for e in group], count)
                features.append(found / self.scales[-1])
                ordered.append(light)
            self._layers.append(_Layer(torch.cat(features), torch.stack(ordered)))

    def target_luminance(self, light: Tensor) -> Tensor:
        """Return the blurred luminance that a light of 0..1 stands for, on the shared scale."""
        return self.dark + (self.bright - self.dark) * light

    def light_of(self, luma: Tensor) -> Tensor:
        """Return the light, 0..1, that a blurred luminance stands for."""
        return ((luma - self.dark) / (self.bright - self.dark)).clamp(0, 1)

    def corner_excess(self, rgb: Tensor, weights: Tensor, edge: Edge) -> Tensor:
        """Return by how much a sample's checkerboard energy exceeds its exemplars', `[B]`.

        The natural logarithm of the ratio, 0 where there is no more than there should be; each
        position's allowance is its own rule's.
        """
        energy = checkerboard_energy(rgb, edge).mean((1, 2))
        allowed = self.corner[weights.argmax(1)].mean((1, 2))
        return F.relu(((energy + LEAST_CORNER) / (allowed + LEAST_CORNER)).log())

    def __call__(
        self,
        rgb: Tensor,
        weights: Tensor,
        light: Tensor | None,
        edge: Edge,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the distance of each sample, `[B]`.

        `rgb` `[B, 3, H, W]`; `weights` `[B, R, H, W]`: each position belongs to the rule that
        weighs most there; `light` `[B, H, W]` in 0..1, or None to accept any light.
        """
        total = rgb.new_zeros(len(rgb))
        if not self._layers:
            return total
        asked = weights.argmax(1).flatten(1)
        unjudged = ~self.judged[asked].all(1)
        borders = (weights > 0).flatten(1).any(1) & (asked.amax(1) != asked.amin(1))
        requests: dict[tuple[int, int], tuple[Tensor, Tensor | None]] = {}
        for index, sample in enumerate(feature_maps(self.vgg, rgb, edge)):
            height, width = sample.shape[2:]
            if (height, width) not in requests:
                requests[height, width] = _request(weights, light, height, width)
            distance = self._compare(index, sample, *requests[height, width], generator)
            if index >= DEEP:
                distance = distance * (~borders)
            total = total + distance
        return total * ~unjudged

    def _compare(
        self,
        index: int,
        sample: Tensor,
        asked: Tensor,
        lights: Tensor | None,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Return one map's distances `[B]`; `asked` and `lights` are those of `_request`."""
        layer, (batch, channels, height, width) = self._layers[index], sample.shape
        device = sample.device
        count, available = height * width, layer.light.shape[1]
        ours = sample.permute(0, 2, 3, 1).reshape(batch, count, channels)
        if count > POSITIONS:
            chosen = torch.randperm(count, generator=generator, device=device)[:POSITIONS]
            ours, asked = ours.index_select(1, chosen), asked[:, chosen]
            lights = None if lights is None else lights[:, chosen]
        ours = ours / self.scales[index]
        noise = torch.randn(asked.shape, generator=generator, device=device)
        uniform = torch.rand(asked.shape, generator=generator, device=device)
        conditions = [RULE_WEIGHT * F.one_hot(asked, self.rules).float()]
        if lights is None:
            rank = uniform * available
        else:
            conditions.append(LIGHT_WEIGHT * lights[..., None])
            wanted = (lights + LIGHT_SPREAD * noise).abs()
            wanted = self.target_luminance(1 - (1 - wanted).abs())
            rank = torch.empty_like(wanted)
            for rule in range(self.rules):
                theirs = asked == rule
                rank[theirs] = torch.searchsorted(layer.light[rule], wanted[theirs]).float()
            # Equal lights are common on coarse maps: spread over the neighbours in rank.
            rank = rank + (uniform - 0.5) * (0.02 * available + 1)
        place = asked * available + rank.long().clamp(0, available - 1)
        theirs = layer.features[place.flatten()].view(batch, -1, channels)

        return self.metric(ours, theirs, torch.cat(conditions, -1), generator)


def _request(
    weights: Tensor, light: Tensor | None, height: int, width: int
) -> tuple[Tensor, Tensor | None]:
    """Return what is asked at a map's positions: rules `[B, h * w]` and, if any, lights."""
    if weights.shape[2:] != (height, width):
        weights = F.adaptive_avg_pool2d(weights, (height, width))
        light = None if light is None else F.adaptive_avg_pool2d(light[:, None], (height, width))
    asked = weights.argmax(1).flatten(1)
    return asked, None if light is None else light.flatten(1)
