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

from ncavideo.nca.model import Edge
from ncavideo.training.exemplar_maps import ExemplarMap, even_choice, kept
from ncavideo.training.loss_recipe import LIGHT_BLUR
from ncavideo.training.metrics import METRICS
from ncavideo.training.share import Share
from ncavideo.training.vgg import VGGFeatures

LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. ITU-R BT.709
LIGHT_SPREAD = 0.08  # of the light scale: how far a counterpart's light may lie from the asked one
APART = 2.0  # more than any luminance: keeps the lights of one rule from those of another
LIGHT_WEIGHT = 2.5  # the light coordinate's weight beside features of deviation 1
RULE_WEIGHT = 2.0  # the same for the rule coordinates
POSITIONS = 2304  # positions compared on large maps: a fresh random choice every time
LIGHT_SCALE = (0.08, 0.72)  # blurred luminance that light 0 and 1 stand for, without exemplars
SEAM = 2.5  # a jump across a picture's edge by this much more than inside is a seam
QUANTILE_LIMIT = 1 << 24  # torch's quantile takes no more numbers
DEFAULT_CORNER = 4e-5  # checkerboard energy allowed to a rule without exemplars
LEAST_CORNER = 1e-7  # checkerboard energy too small to be seen: a deviation of 0.0003
PLAIN = 2  # maps that are not VGG's: pixels and Haar bands
# A picture that repeats itself hardly varies on VGG's deepest maps: divided by that little, what a
# sample has there would drown colours and edges. Of pictures that do not, deviations are 0.43 of
# the features' size or more.
LEAST_DEVIATION = 0.35
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


def strongest(weights: Tensor) -> Tensor:
    """Return the rule that weighs most at each position: `[B, R, H, W]` to `[B, H, W]`."""
    return weights.max(1).indices  # on a CPU in a ninth of the time of `argmax`


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
    # 1, -4, 6, -4, 1 from the distance to the middle: a list's numbers would have to come from the
    # CPU, which a recorded CUDA graph cannot wait for.
    away = (torch.arange(5, dtype=rgb.dtype, device=rgb.device) - 2).abs()
    kernel = (6 - 17.5 * away + 7.5 * away.square()) / 16
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


@dataclass(frozen=True)
class Exemplar:
    """A style picture `[3, H, W]`, RGB 0..1, and its weight among those of its rule."""

    rgb: Tensor
    weight: float = 1.0


@dataclass
class _Layer:
    """One feature map of all exemplars.

    `features` `[R * M, F]`: M positions of each of R rules, ordered by light within a rule;
    `order` `[R * M]`: their blurred luminance and, for each rule before theirs, `APART`: ascending.
    """

    features: Tensor
    order: Tensor


class StyleLoss:
    """The conditional distance, by one of the `METRICS`, to each rule's exemplars.

    `rules`: for each rule its exemplars; a bare picture is one of weight 1. A rule without any is
    not judged by style. The light scale 0..1 spans the mean range of their blurred luminances, so
    equal light is equal brightness whatever the rule; without exemplars it is `LIGHT_SCALE`.

    `light_blur`: the Gaussian's deviation in pixels with which an exemplar's luminance is blurred
    before it counts as light. Even light asks for no light and dark that is wider than that.
    """

    def __init__(
        self,
        vgg: VGGFeatures,
        rules: Sequence[Tensor | Sequence[Exemplar]],
        metric: str = "sliced-wasserstein",
        light_blur: float = LIGHT_BLUR,
    ) -> None:
        self.vgg, self.metric, self.rules = vgg, METRICS[metric], len(rules)
        self.light_blur = light_blur
        pictures = [[Exemplar(r)] if isinstance(r, Tensor) else list(r) for r in rules]
        self.judged = torch.tensor([bool(group) for group in pictures], device=vgg.device)
        self.dark, self.bright = LIGHT_SCALE
        self.corner = torch.full((self.rules,), DEFAULT_CORNER, device=vgg.device)
        self.scales: list[float] = []
        self.brightness: list[float | None] = [None] * self.rules  # mean luminance, linear light
        self._layers: list[_Layer] = []
        if any(pictures):
            with torch.no_grad():
                self._measure(pictures)

    def _measure(self, pictures: list[list[Exemplar]]) -> None:
        """Take the exemplars' features and lights."""
        ends: list[Tensor] = []
        # Several rules may share a picture.
        measured: dict[int, tuple[list[ExemplarMap], Tensor]] = {}
        maps: list[list[list[ExemplarMap]]] = []
        for rule, group in enumerate(pictures):
            edges: list[Edge] = ["wrap" if seamless(e.rgb) else "reflect" for e in group]
            for e, edge in zip(group, edges, strict=True):
                if id(e.rgb) not in measured:
                    light = blur(luminance(e.rgb[None]), self.light_blur, edge)
                    found = feature_maps(self.vgg, e.rgb[None], edge)
                    measured[id(e.rgb)] = [kept(m[0], light) for m in found], light
            maps.append([measured[id(e.rgb)][0] for e in group])
            if group:
                lights = [measured[id(e.rgb)][1] for e in group]
                everything = torch.cat([light.flatten()[::7] for light in lights])
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
            of_rules = [[m[index] for m in of_rule] for of_rule in maps]
            every = [m for of_rule in of_rules for m in of_rule]
            variance = torch.stack([m.variance for m in every]).mean()
            if index >= PLAIN:
                square = torch.stack([m.square for m in every]).mean()
                variance = variance.maximum(LEAST_DEVIATION**2 * square)
            self.scales.append(float(variance.sqrt()))
            count = max(len(m.light) for m in every)
            features, ordered = [], []
            for group, of_rule in zip(pictures, of_rules, strict=True):
                if not group:
                    width = every[0].features.shape[1]
                    features.append(every[0].features.new_zeros(count, width))
                    ordered.append(every[0].light.new_zeros(count))
                    continue
                chosen, light = even_choice(of_rule, [e.weight for e in group], count)
                features.append(chosen / self.scales[-1])
                ordered.append(light)
            order = torch.cat([light + APART * rule for rule, light in enumerate(ordered)])
            self._layers.append(_Layer(torch.cat(features), order))

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
        allowed = self.corner[strongest(weights)].mean((1, 2))
        return F.relu(((energy + LEAST_CORNER) / (allowed + LEAST_CORNER)).log())

    def __call__(
        self,
        rgb: Tensor,
        weights: Tensor,
        light: Tensor | None,
        edge: Edge,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> Tensor:
        """Return the distance of each sample, `[B]`.

        `rgb` `[B, 3, H, W]`; `weights` `[B, R, H, W]`: each position belongs to the rule that
        weighs most there; `light` `[B, H, W]` in 0..1, or None to accept any light. `share`: which
        samples of a batch these are, by default all.
        """
        total = rgb.new_zeros(len(rgb))
        if not self._layers:
            return total
        judged, within = self.counted(weights)
        requests: dict[tuple[int, int], tuple[Tensor, Tensor | None]] = {}
        for index, sample in enumerate(feature_maps(self.vgg, rgb, edge)):
            height, width = sample.shape[2:]
            if (height, width) not in requests:
                requests[height, width] = request(weights, light, height, width)
            distance = self._compare(index, sample, *requests[height, width], generator, share)
            if index >= DEEP:
                distance = distance * within
            total = total + distance
        return total * judged

    def colours(
        self, rgb: Tensor, weights: Tensor, light: Tensor | None, share: Share | None = None
    ) -> Tensor:
        """Return the distance of each sample's pixels alone, `[B]`: which colours it has.

        Arguments are as in a call. Beside VGG's maps a few pixels of a colour that no exemplar has
        cost little: a line of cyan in a fire.
        """
        if not self._layers:
            return rgb.new_zeros(len(rgb))
        asked, lights = request(weights, light, *rgb.shape[2:])
        return self._compare(0, rgb, asked, lights, None, share) * self.counted(weights)[0]

    def counted(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return which samples of `weights` `[B, R, H, W]` count, and of those on maps from `DEEP`.

        Boolean `[B]`: any position's rule has exemplars; and no border runs through the sample.
        """
        asked = strongest(weights).flatten(1)
        borders = (weights > 0).flatten(1).any(1) & (asked.amax(1) != asked.amin(1))
        return self.judged[asked].all(1), ~borders

    def _compare(
        self,
        index: int,
        sample: Tensor,
        asked: Tensor,
        lights: Tensor | None,
        generator: torch.Generator | None,
        share: Share | None = None,
    ) -> Tensor:
        """Return one map's distances `[B]`; `asked` and `lights` are those of `request`."""
        batch, channels, height, width = sample.shape
        count = height * width
        ours = sample.permute(0, 2, 3, 1).reshape(batch, count, channels)
        if count > POSITIONS:
            chosen = some_positions(count, sample.device, generator)
            ours, asked = ours.index_select(1, chosen), asked[:, chosen]
            lights = None if lights is None else lights[:, chosen]
        clouds = self.counterparts(index, ours, asked, lights, generator, share)
        return self.metric(*clouds, generator)

    def counterparts(
        self,
        index: int,
        ours: Tensor,
        asked: Tensor,
        lights: Tensor | None,
        generator: torch.Generator | None,
        share: Share | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return a map's features `[B, N, F]` scaled, exemplars' features for them, and conditions.

        For each position a counterpart is drawn that fulfils what was `asked` there `[B, N]`, under
        about the light `[B, N]` that was asked for. The three are what a metric takes.
        """
        layer, device = self._layers[index], ours.device
        available = len(layer.order) // self.rules
        ours = ours / self.scales[index]
        share, positions = share or Share.all_of(len(asked)), asked.shape[1]
        noise = share.drawn(torch.randn, positions, generator=generator, device=device)
        uniform = share.drawn(torch.rand, positions, generator=generator, device=device)
        conditions = [RULE_WEIGHT * F.one_hot(asked, self.rules).float()]
        if lights is None:
            rank = uniform * available
        else:
            conditions.append(LIGHT_WEIGHT * lights[..., None])
            wanted = (lights + LIGHT_SPREAD * noise).abs()
            wanted = self.target_luminance(1 - (1 - wanted).abs())
            # All rules' orders are one: a single search, and no waiting for the device.
            places = torch.searchsorted(layer.order, wanted + APART * asked)
            rank = (places - asked * available).float()
            # Equal lights are common on coarse maps: spread over the neighbours in rank.
            rank = rank + (uniform - 0.5) * (0.02 * available + 1)
        place = asked * available + rank.long().clamp(0, available - 1)
        theirs = layer.features[place.flatten()].view(ours.shape)
        return ours, theirs, torch.cat(conditions, -1)

    @property
    def maps(self) -> int:
        """The number of maps that are compared, 0 without exemplars."""
        return len(self._layers)


def some_positions(
    count: int, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """Return `POSITIONS` of `count` positions, at random and without repeats."""
    if device.type == "cuda":  # where `randperm` cannot be recorded in a CUDA graph
        return torch.rand(count, generator=generator, device=device).argsort()[:POSITIONS]
    return torch.randperm(count, generator=generator, device=device)[:POSITIONS]


def request(
    weights: Tensor, light: Tensor | None, height: int, width: int
) -> tuple[Tensor, Tensor | None]:
    """Return the conditions at a map's positions: rules `[B, h * w]` and, if any, lights."""
    if weights.shape[2:] != (height, width):
        weights = F.adaptive_avg_pool2d(weights, (height, width))
        light = None if light is None else F.adaptive_avg_pool2d(light[:, None], (height, width))
    asked = strongest(weights).flatten(1)
    return asked, None if light is None else light.flatten(1)
