"""The losses of a batch: style, likeness, text, brightness, corners, stillness and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.likeness import Likeness
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.motion import velocity, warped
from ncavideo.training.recipe import Recipe
from ncavideo.training.seen import Patch, Patches, Rollout, Seen, roughness, whole
from ncavideo.training.share import Share
from ncavideo.training.style import StyleLoss, blur, luminance, strongest
from ncavideo.training.text import TextGuide

# Of `light_blur`, for judging brightness: finer than that, light and dark are the texture's own.
BRIGHTNESS_BLUR = 0.6
FINE_BLUR = 0.1875  # the same where light has detail
PLAIN_DETAIL = 0.1  # of luminance: detail that counts as much as brightness does
STATE_LIMIT = 1.0  # hidden numbers beyond this cost; keeps a state in range for ever
FAINTEST = 1e-3  # mean change of RGB below which a texture that moves shows nothing


class Losses:
    """The loss terms of a recipe, of a batch.

    `patches`: draws what is judged with a decoder; `distances`: computes the style's, in place of
    `style`.
    """

    def __init__(
        self,
        recipe: Recipe,
        style: StyleLoss,
        device: torch.device,
        guide: TextGuide | None,
        patches: Patches | None = None,
        distances: Callable[..., Tensor] | None = None,
        likeness: Likeness | None = None,
    ) -> None:
        self.patches = patches
        self.distances = distances or style
        self.rules, self.style = recipe.rules, style
        self.guide, self.likeness = guide, likeness
        velocities = [velocity(r.motion) for r in recipe.rules]
        self.velocities = torch.tensor(velocities, device=device)
        self.fastest = max(abs(part) for both in velocities for part in both)
        self.prompted = [bool(r.prompt or r.negative) for r in recipe.rules]
        self.drifting = torch.tensor([r.motion is not None for r in recipe.rules], device=device)
        self.holding = torch.tensor([r.stillness for r in recipe.rules], device=device)

    def terms(
        self, loss: LossRecipe, rollout: Rollout, ripe: float, patch: Patch | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return each loss by its name in `LossRecipe`, unweighted, and style distances `[B]`.

        Of a share of a batch, losses are what it adds to the batch's: their sum over all shares,
        and that of their gradients, is the whole batch's.

        `ripe`: how far the run is, 0 to 1; see `held`. `patch`: what is judged where a decoder
        draws.
        """
        if self.patches is None:
            seen = whole(rollout)
        else:
            assert patch is not None
            seen = self.patches(rollout, patch)
        state, rgb = rollout.after, seen.after
        weights, light, edge = seen.weights, seen.light, seen.edge
        share = rollout.share or Share.all_of(len(state))
        styles = self.distances(rgb, weights, light, edge, share=share)
        overflow = (state - state.clamp(-STATE_LIMIT, STATE_LIMIT)).abs().mean()
        part = share.fraction
        terms = {"style": part * styles.mean(), "overflow": part * overflow}
        if self.guide is not None and loss.text:
            terms["text"] = of_one_rule(self.guide, self.prompted, rgb, rollout.rules, edge, share)
        if self.likeness is not None and loss.likeness:
            terms["likeness"] = of_one_rule(
                self.likeness, self.likeness.judged, rgb, rollout.rules, edge, share
            )
        if loss.colour:
            found = self.style.colours(rgb, weights, light, share)
            terms["colour"] = part * found.mean()
        if light is not None and loss.brightness:
            wanted = self.style.target_luminance(light)
            wide = BRIGHTNESS_BLUR * self.style.light_blur
            error = blur(luminance(rgb) - wanted, wide, edge)
            terms["brightness"] = part * error.square().mean()
        if light is not None and loss.form:
            terms["form"] = part * self._form(rgb, light, edge)
        if loss.corner:
            terms["corner"] = part * self.style.corner_excess(rgb, weights, edge).mean()
        if self.patches is not None and loss.smooth:
            terms["smooth"] = self._smooth(rollout, share)
        rest = rollout.calm[:, None, None]
        held = self.held(loss, seen, rollout.steps, rest, ripe)
        terms |= {name: part * term for name, term in held.items()}
        return terms, styles

    def _form(self, rgb: Tensor, light: Tensor, edge: Edge) -> Tensor:
        """Return how far brightness is from the light where that has detail, which may be an eye.

        Finer than `light_blur` light and dark are the texture's own, except there.
        """
        wanted = self.style.target_luminance(light)
        detail = (wanted - blur(wanted, self.style.light_blur, edge)).abs()
        error = blur(luminance(rgb) - wanted, FINE_BLUR * self.style.light_blur, edge)
        return (error.square() * detail).mean() / PLAIN_DETAIL

    def _smooth(self, rollout: Rollout, share: Share) -> Tensor:
        """Return the share's part of the roughness, a ratio of sums over all samples.

        Its gradient is that of the whole batch's roughness by the share's own samples, undivided.
        """
        batch = rollout.after
        if rollout.everyone is not None and share.count < share.whole:
            others = rollout.everyone.detach()
            end = share.first + share.count
            batch = torch.cat([others[: share.first], batch, others[end:]])
        rough = roughness(batch, rollout.edge)
        return rough - (1 - share.fraction) * rough.detach()

    def held(
        self, loss: LossRecipe, seen: Seen, steps: int, calm: Tensor, ripe: float
    ) -> dict[str, Tensor]:
        """Return the losses of rules that should hold still, or drift, over the last `steps`.

        A texture finds its shapes before it holds them, but it moves from the beginning: one that
        has come to rest does not learn to move any more.
        """
        before, after, edge = seen.before, seen.after, seen.edge
        terms, rule = {}, strongest(seen.weights)
        if loss.stillness and ripe >= loss.stillness_from:
            counts = (self.holding * ~self.drifting)[rule] * calm
            terms["stillness"] = ((after - before).abs().mean(1) * counts).mean()
        if loss.motion and any(r.motion for r in self.rules):
            moved = steps * seen.pixels
            shift = moved * self.velocities[rule].permute(0, 3, 1, 2)
            wanted, known = warped(before, shift, moved * self.fastest, edge)
            counts = self.drifting[rule] * calm * known
            # In units of what standing still would cost: a faint texture is to move as far.
            still = (wanted - before).abs().mean((1, 2, 3)).detach().clamp(min=FAINTEST)
            errors = ((after - wanted).abs().mean(1) * counts).mean((1, 2))
            terms["motion"] = (errors / still).mean()
        return terms


def of_one_rule(
    judge: TextGuide | Likeness,
    judged: Sequence[bool],
    rgb: Tensor,
    rules: list[int | None],
    edge: Edge,
    share: Share,
) -> Tensor:
    """Return the mean distance, by `judge`, of the samples that show one rule which is `judged`.

    `rules`: of the whole batch, over whose judged samples the mean goes; `rgb`: the share's.
    """
    asked = {at: r for at, r in enumerate(rules) if r is not None and judged[r]}
    if not asked:
        return rgb.new_zeros(())
    own, of_judged = share.within(list(asked))
    shown = torch.tensor([asked[share.first + place] for place in own], dtype=torch.int64)
    # A share without such samples asks, too: the batch's draws are to be made.
    found = judge(rgb[own], shown, edge, share=of_judged)
    return of_judged.fraction * found.mean() if own else rgb.new_zeros(())
