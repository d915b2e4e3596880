"""The beginning of a run with another rule set's weights."""

from __future__ import annotations

import hashlib

import torch

from ncavideo.nca.decoder import Decoder
from ncavideo.nca.model import FILTERS, NCA
from ncavideo.nca.network import LIGHT
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.recipe import Recipe
from ncavideo.util.errors import UserError


def take_over(
    recipe: Recipe, nca: NCA, decoder: Decoder | None, ruleset: RuleSet
) -> dict[str, str]:
    """Copy a rule set's weights: the cells', and each input channel's of its name.

    Returns what they were, for the provenance. Raises `UserError` for a network of another shape.
    """
    model = recipe.model
    if (ruleset.channels, ruleset.hidden) != (model.channels, model.hidden):
        raise UserError(
            f"`start`: {ruleset.name} has {ruleset.channels} channels and {ruleset.hidden}"
            f" hidden units, and the recipe {model.channels} and {model.hidden}: set"
            " `model.channels` and `model.hidden` (--channels, --hidden) to the same"
        )
    theirs = ruleset.decoder.hidden if ruleset.decoder else 0
    if theirs not in (0, model.decoder):
        raise UserError(
            f"`start`: {ruleset.name} has a decoder of {theirs} hidden units, and the recipe"
            f" {model.decoder}: set `model.decoder` to the same"
        )
    seen, update = FILTERS * model.channels, nca.update
    names = [rule.name for rule in recipe.rules] + [LIGHT] * model.light
    with torch.no_grad():
        w1 = torch.from_numpy(ruleset.w1)
        update.w1[:, :seen] = w1[:, :seen]
        for column, name in enumerate(names):
            if name in ruleset.inputs:
                update.w1[:, seen + column] = w1[:, seen + ruleset.inputs.index(name)]
        update.b1.copy_(torch.from_numpy(ruleset.b1))
        update.w2.copy_(torch.from_numpy(ruleset.w2))
    arrays = [ruleset.w1, ruleset.b1, ruleset.w2]
    if decoder is not None and ruleset.decoder is not None:
        decoder.load_state_dict(Decoder.of(ruleset.decoder).state_dict())
        arrays += ruleset.decoder.arrays.values()
    digest = hashlib.sha256(b"".join(a.tobytes() for a in arrays))
    return {"name": ruleset.name, "weights_sha256": digest.hexdigest()}
