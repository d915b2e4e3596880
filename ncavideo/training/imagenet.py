"""A text guide from an ImageNet classifier: prompts are names of its thousand classes.

The loss of a cut-out is the cross-entropy of the wanted class, and a prior that keeps the picture
near real ones: the distance of its statistics in the network's batch normalisations from those of
ImageNet that these remember (Yin et al., "Dreaming to Distill", CVPR 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.efficientnet import load_efficientnet, logits, precision
from ncavideo.training.imagenet_names import class_of, first_name, names, plain
from ncavideo.training.share import Share
from ncavideo.training.text import SMALLEST_CUT, Prompts, TextGuide, cut_outs

SIDES = (96, 128, 160, 224)  # of a batch's cut-outs: one that is fooled at one size is not at all
GAMUT = 5.0  # weight of the distance to colours that no screen shows
PRIOR_LAYERS = 30  # the first batch normalisations; later ones know objects, and few places
LEAST_VARIANCE = 1e-4  # of a feature, below which it says nothing


class ImageNetGuide(TextGuide):
    """An EfficientNet judges cut-outs by classes of ImageNet.

    A rule with several wanted classes approaches them together: their probabilities add up. That of
    unwanted classes is pushed down. `size`: of the network; `smallest`: the smallest cut-out, a
    share of the picture's side. Raises `UserError` if a package is missing or a prompt is no
    class's name.
    """

    def __init__(
        self,
        prompts: Sequence[Prompts],
        *,
        cutouts: int = 8,
        prior: float = 1.0,
        size: str = "lite0",
        smallest: float = SMALLEST_CUT,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.wanted = [[class_of(text) for text in each.wanted] for each in prompts]
        self.unwanted = [[class_of(text) for text in each.unwanted] for each in prompts]
        self.notes = tuple(
            f"the prompt {text!r} is taken for ImageNet's class {first_name(class_of(text))!r}"
            for each in prompts
            for text in (*each.wanted, *each.unwanted)
            if plain(text) not in names()
        )
        self.name = f"EfficientNet-{size} (ImageNet)"
        self.network = load_efficientnet(size, device, "the guide imagenet")
        self._cutouts, self._smallest = cutouts, smallest
        self._prior = prior  # its weight beside the cross-entropy
        self._device, self._dtype = torch.device(device), dtype
        self._layers = [m for m in self.network.modules() if hasattr(m, "running_mean")]

    def scores(self, rgb: Tensor) -> Tensor:
        """Return the logits `[N, 1000]` of pictures `[N, 3, S, S]`, RGB 0..1."""
        with precision(self._device, self._dtype):
            return logits(self.network, rgb)

    def __call__(
        self,
        rgb: Tensor,
        rule: Tensor,
        edge: Edge,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> Tensor:
        """Return the loss of each sample against its rule's classes, `[B]`."""
        which = int(torch.randint(len(SIDES), (), generator=generator))
        parts = cut_outs(rgb, self._cutouts, SIDES[which], edge, generator, self._smallest, share)
        if not len(rgb):
            return rgb.new_zeros(0)
        with _Statistics(self._layers[:PRIOR_LAYERS], len(rgb)) as statistics:
            scores = self.scores(parts)
        chances = scores.log_softmax(-1).view(len(rgb), self._cutouts, -1)
        losses = []
        for sample, index in zip(chances, rule.tolist(), strict=True):
            loss = sample.new_zeros(())
            if self.wanted[index]:
                loss = loss - sample[:, self.wanted[index]].logsumexp(-1).mean()
            if self.unwanted[index]:
                shares = sample[:, self.unwanted[index]].exp().sum(-1)
                loss = loss - torch.log1p(-shares.clamp(max=1 - 1e-4)).mean()
            losses.append(loss)
        outside = (rgb - rgb.clamp(0, 1)).abs().mean((1, 2, 3))
        return torch.stack(losses) + self._prior * statistics.distance() + GAMUT * outside


class _Statistics:
    """While open, compares what enters batch normalisations with what they remember of ImageNet.

    `samples`: into how many equal groups the pictures fall, each of which is judged by itself.
    """

    def __init__(self, layers: Sequence[Any], samples: int) -> None:
        self._layers, self._samples = layers, samples
        self._found: list[Tensor] = []

    def __enter__(self) -> _Statistics:
        self._hooks = [layer.register_forward_pre_hook(self._compare) for layer in self._layers]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _compare(self, layer: Any, given: tuple[Tensor, ...]) -> None:
        """Add a layer's distances `[B]`: of means in deviations, and of deviations' logarithms."""
        moments = _Moments.apply(given[0].float())
        mean, square = (m.view(self._samples, -1, m.shape[1]).mean(1) for m in moments)
        known = layer.running_var + LEAST_VARIANCE
        variance = (square - mean.square()).clamp_min(0) + LEAST_VARIANCE
        moved = (mean - layer.running_mean).square() / known
        spread = (variance / known).log().square() / 4
        # One class's features are not all classes': a distance counts by its root.
        self._found.append(((moved + spread).mean(1) + 1e-6).sqrt())

    def distance(self) -> Tensor:
        """Return the mean over layers of each sample's distance, `[B]`."""
        return torch.stack(self._found).mean(0)


class _Moments(torch.autograd.Function):
    """The means of features `[B, F, H, W]` and of their squares, `[B, F]` each.

    Autograd would go back through the features five times, which are a good part of an iteration.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(features)
        return features.mean((2, 3)), features.square().mean((2, 3))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        each = features.shape[2] * features.shape[3]
        of_mean, of_square = (g[..., None, None] / each for g in gradients)
        return torch.addcmul(of_mean, features, of_square, value=2)
