"""The losses of a batch: style, state overflow, text, brightness, corners, stillness, motion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ncavideo.nca.model import Edge, to_rgb
from ncavideo.training.motion import velocity, warped
from ncavideo.training.recipe import LossRecipe, Recipe
from ncavideo.training.style import StyleLoss, blur, luminance
from ncavideo.training.text import TextGuide

BRIGHTNESS_BLUR = 3.0  # cells: finer than this, light and dark are the texture's own
STATE_LIMIT = 1.0  # hidden numbers beyond this cost; keeps a state in range for ever
FAINTEST = 1e-3  # mean change of RGB below which a texture that moves shows nothing


@dataclass(frozen=True)
class Rollout:
    """A batch's states `[B, C, H, W]` before and after its last `steps`, and its requests.

    `weights` `[B, R, H, W]`: expression; `light` `[B, H, W]` in 0..1, None for rule sets without;
    `rules`: each sample's rule, None where it has several; `calm` `[B]`: 1 for samples with the
    same request as before, unhurt, and 0 for others; `edge`: what lies beyond the grid.
    """

    before: Tensor
    after: Tensor
    steps: int
    weights: Tensor
    light: Tensor | None
    rules: list[int | None]
    calm: Tensor
    edge: Edge


class Losses:
    """The loss terms of a recipe, of a batch."""

    def __init__(
        self, recipe: Recipe, style: StyleLoss, device: torch.device, guide: TextGuide | None
    ) -> None:
        self.rules, self.style, self.guide = recipe.rules, style, guide
        velocities = [velocity(r.motion) for r in recipe.rules]
        self.velocities = torch.tensor(velocities, device=device)
        self.fastest = max(abs(part) for both in velocities for part in both)
        self.prompted = [bool(r.prompt or r.negative) for r in recipe.rules]
        self.drifting = torch.tensor([r.motion is not None for r in recipe.rules], device=device)
        self.holding = torch.tensor([r.stillness for r in recipe.rules], device=device)

    def terms(
        self, loss: LossRecipe, rollout: Rollout, ripe: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return each loss by its name in `LossRecipe`, unweighted, and style distances `[B]`.

        `ripe`: how far the run is, 0 to 1; see `held`.
        """
        state, weights, light, edge = (
            rollout.after, rollout.weights, rollout.light, rollout.edge,
        )  # fmt: skip
        rgb = to_rgb(state)
        styles = self.style(rgb, weights, light, edge)
        overflow = (state - state.clamp(-STATE_LIMIT, STATE_LIMIT)).abs().mean()
        terms = {"style": styles.mean(), "overflow": overflow}
        if self.guide is not None and loss.text:
            terms["text"] = self.text(self.guide, rgb, rollout.rules, edge)
        if light is not None and loss.brightness:
            wanted = self.style.target_luminance(light)
            error = blur(luminance(rgb) - wanted, BRIGHTNESS_BLUR, edge)
            terms["brightness"] = error.square().mean()
        if loss.corner:
            terms["corner"] = self.style.corner_excess(rgb, weights, edge).mean()
        rest = rollout.calm[:, None, None]
        terms |= self.held(
            loss, to_rgb(rollout.before), rgb, rollout.steps, weights, rest, edge, ripe
        )
        return terms, styles

    def held(
        self,
        loss: LossRecipe,
        before: Tensor,
        after: Tensor,
        steps: int,
        weights: Tensor,
        calm: Tensor,
        edge: Edge,
        ripe: float,
    ) -> dict[str, Tensor]:
        """Return the losses of rules that should hold still, or drift, over the last `steps`.

        A texture finds its shapes before it holds them, but it moves from the beginning: one that
        has come to rest does not learn to move any more.
        """
        terms, rule = {}, weights.argmax(1)
        if loss.stillness and ripe >= loss.stillness_from:
            counts = (self.holding * ~self.drifting)[rule] * calm
            terms["stillness"] = ((after - before).abs().mean(1) * counts).mean()
        if loss.motion and any(r.motion for r in self.rules):
            shift = steps * self.velocities[rule].permute(0, 3, 1, 2)
            wanted, known = warped(before, shift, steps * self.fastest, edge)
            counts = self.drifting[rule] * calm * known
            # In units of what standing still would cost: a faint texture is to move as far.
            still = (wanted - before).abs().mean((1, 2, 3)).detach().clamp(min=FAINTEST)
            errors = ((after - wanted).abs().mean(1) * counts).mean((1, 2))
            terms["motion"] = (errors / still).mean()
        return terms

    def text(self, guide: TextGuide, rgb: Tensor, rules: list[int | None], edge: Edge) -> Tensor:
        """Return the guide's mean distance of the samples that show one rule with a prompt."""
        judged = [(place, r) for place, r in enumerate(rules) if r is not None and self.prompted[r]]
        if not judged:
            return rgb.new_zeros(())
        places, shown = torch.tensor(judged).unbind(1)
        return guide(rgb[places], shown, edge).mean()
