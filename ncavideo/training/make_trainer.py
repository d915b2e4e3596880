"""The trainer of a recipe, with the pictures and networks that the recipe names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ncavideo.training.dreams import dreamt
from ncavideo.training.imagenet import ImageNetGuide
from ncavideo.training.likeness import Likeness
from ncavideo.training.precision import fast_bfloat16
from ncavideo.training.process_group import ALONE, ProcessGroup
from ncavideo.training.recipe import Recipe, StylePicture
from ncavideo.training.style import Exemplar, StyleLoss
from ncavideo.training.style_picture import recipe_style
from ncavideo.training.text import OpenClipGuide, Prompts, TextGuide
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import load_vgg, no_vgg
from ncavideo.util.atomic_write import is_file
from ncavideo.util.events import phase


def make_trainer(
    recipe: Recipe,
    device: torch.device,
    note: Callable[[str], None] = lambda text: None,
    group: ProcessGroup = ALONE,
    dreams: Path | None = None,
) -> Trainer:
    """Load what the recipe names, pictures and networks, and return its trainer.

    `dreams`: a folder that keeps the pictures that are drawn from words.
    """
    phase("loading the style pictures")
    pictures: dict[StylePicture, Tensor] = {}  # rules may share one
    for rule in recipe.rules:
        for picture in rule.style:
            if picture not in pictures:
                pictures[picture] = recipe_style(recipe, picture, note).to(device)
    exemplars = [
        [Exemplar(pictures[picture], picture.weight) for picture in rule.style]
        for rule in recipe.rules
    ]
    drawn = dreamt(recipe, dreams, device, note)
    for index, rule in enumerate(recipe.rules):
        if rule.name in drawn:
            exemplars[index] = [Exemplar(drawn[rule.name].to(device))]
    precise = torch.bfloat16 if fast_bfloat16(device) else torch.float32
    guide = _guide(recipe, device, precise)
    for text in guide.notes if guide else ():
        note(text)
    vgg = no_vgg(device)
    if any(exemplars):
        phase("loading VGG")
        weights = recipe.folder / recipe.training.vgg
        vgg = load_vgg(str(weights) if is_file(weights) else recipe.training.vgg, device, precise)
    style = StyleLoss(vgg, exemplars, recipe.loss.metric, recipe.loss.light_blur)
    likeness = None
    asked = any(loss.likeness for loss in recipe.losses)
    if asked and not any(exemplars):
        note("`loss.likeness` has no effect: no rule has a style picture")
    if asked and any(exemplars):
        phase("loading EfficientNet")
        likeness = Likeness(exemplars, device, precise)
    return Trainer(recipe, style, device, guide, note, group, likeness)


def _guide(recipe: Recipe, device: torch.device, dtype: torch.dtype) -> TextGuide | None:
    asked = recipe.guide
    if asked.kind == "none":
        return None
    prompts = [Prompts(rule.prompt, rule.negative) for rule in recipe.rules]
    if asked.kind == "imagenet":
        phase("loading EfficientNet")
        return ImageNetGuide(
            prompts,
            cutouts=asked.cutouts,
            prior=asked.prior,
            smallest=asked.smallest_cut,
            device=device,
            dtype=dtype,
        )
    files = [recipe.folder / asked.model, recipe.folder / asked.pretrained]
    model, pretrained = (
        str(file) if is_file(file) else name
        for file, name in zip(files, (asked.model, asked.pretrained), strict=True)
    )
    phase("loading CLIP")
    return OpenClipGuide(
        prompts,
        model,
        pretrained,
        cutouts=asked.cutouts,
        smallest=asked.smallest_cut,
        device=device,
        dtype=dtype,
    )
