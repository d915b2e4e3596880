"""Training on an NVIDIA GPU: is it right, and how fast is it. Everything in under eight minutes.

    python benchmarks/gpu_training.py [--sizes s m l] [--iterations 400] [--record]

Prints four tables, and with several GPUs a fifth.

    checks     the fused kernels against plain torch, in float32 and as training runs them; machine
               code that reads what nothing wrote; a run that stops and goes on against one that
               does not (the number of weights that differ), without and with a decoder
    loops      milliseconds an iteration, medians of loops that take turns: the plain loop of
               `training.py`, the trainer with torch alone, the trainer with fused kernels, that
               with long runs of a quarter of the samples, and with a decoder both trainers, with
               peak memory; then the trainer of commit 66c537e, in a process of its own
    warm-up    seconds until all that a run repeats is compiled and recorded
    curves     the same recipe trained both ways: seconds, and the mean style distance of quarters
    gpus       samples a second of batches of 8 that one GPU, or all of them, share

Exits with code 1 if a check fails. Without a GPU that has bfloat16 and without Triton it prints one
sentence and exits with code 2.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import older_trainer
import results
import torch
from training import RECIPE, plain, timed

from ncavideo.training.gpu.choose import OPERAND, obstacle
from ncavideo.training.precision import matmul_dtype
from ncavideo.training.recipe import Recipe
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.several import train_on_several
from ncavideo.training.style import StyleLoss
from ncavideo.training.style_picture import load_style
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import VGGFeatures, load_vgg

# Samples, side, steps, channels, hidden units.
SIZES = {"s": (2, 96, 40, 12, 96), "m": (8, 192, 40, 12, 96), "l": (8, 128, 48, 16, 128)}
ROUNDS, IN_A_ROW = 5, 16  # of the loops in turns; iterations of the fused one each time
WARM_UP = 24  # iterations, enough for both edges
LONG_SHARE = 0.25
DECODER = 32  # hidden units
QUARTERS = 4


def sized(recipe: Recipe, size: str) -> Recipe:
    """Return the recipe at one of `SIZES`, without long runs."""
    batch, side, steps, channels, hidden = SIZES[size]
    model = dataclasses.replace(recipe.model, channels=channels, hidden=hidden)
    training = dataclasses.replace(
        recipe.training,
        size=side,
        batch=batch,
        steps=(steps, steps),
        long_rollout_probability=0.0,
        vgg="auto",
    )
    return dataclasses.replace(recipe, model=model, training=training, stages=())


def drawn(recipe: Recipe) -> Recipe:
    """Return the recipe with a decoder."""
    return dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, decoder=DECODER))


def make(recipe: Recipe, vgg: VGGFeatures, device: torch.device, fused: bool = True) -> Trainer:
    """Return a trainer with fused kernels, or with torch alone."""
    pictures = [load_style(recipe.folder / r.style[0].path).to(device) for r in recipe.rules]

    def note(text: str) -> None:
        raise RuntimeError(text)  # the fused way is what is measured

    trainer = Trainer(recipe, StyleLoss(vgg, pictures), device, note=note)
    trainer._has_chosen = not fused
    return trainer


def ripe(trainer: Trainer) -> Trainer:
    """Return the trainer in its costliest phase."""
    trainer.iteration = round(trainer.recipe.training.iterations * 0.7)
    return trainer


def parameters(trainer: Trainer) -> list[torch.nn.Parameter]:
    """Return the weights of the network and of the decoder, if there is one."""
    drawing = trainer.decoder.parameters() if trainer.decoder else ()
    return [*trainer.nca.parameters(), *drawing]


def resumed(recipe: Recipe, vgg: VGGFeatures, device: torch.device) -> int:
    """Return how many weights of a run that stopped and went on differ from one that did not."""
    whole = make(recipe, vgg, device)
    for _ in range(8):
        whole.step()
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    # All draw from torch's own generator, so that one has to end before the other begins.
    for _ in range(8):
        whole.step()
    again = make(recipe, vgg, device)
    again.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    for _ in range(8):
        again.step()
    pairs = zip(*(parameters(trainer) for trainer in (whole, again)), strict=True)
    return sum(int((a != b).sum()) for a, b in pairs)


def checks(recipe: Recipe, vgg: VGGFeatures, device: torch.device) -> results.Table:
    """Compare, and return the table; `passes` is yes or no."""
    from training_kernels import build, examine, kernels

    from ncavideo.training.gpu import check
    from ncavideo.training.gpu.plan import Plan

    columns = {"check": "", "network": "", "edge": "", "found": ".1e", "at most": ".1e"}
    table = results.Table("checks", {**columns, "passes": ""})

    def add(what: str, network: str, edge: str, found: float, most: float) -> None:
        table.add(what, network, edge, found, most, "yes" if found <= most else "no")

    capability = 10 * torch.cuda.get_device_capability()[0] + torch.cuda.get_device_capability()[1]
    inputs = len(recipe.rules) + recipe.model.light
    for channels, hidden in sorted({shape[3:] for shape in SIZES.values()}):
        name = f"C {channels}, hidden {hidden}"
        for edge in ("wrap", "reflect"):
            shape = (channels, inputs, hidden, edge)
            found = check.difference(*shape, torch.float32, device)
            add("float32", name, edge, found, 1e-5)
            add("float16", name, edge, check.difference(*shape, OPERAND, device), check.TOLERANCE)
            plan = Plan(channels, inputs, hidden, 8, 192, 192, edge, OPERAND, torch.bfloat16)
            reads = sum(len(examine(build(k, capability)).unwritten) for k in kernels(plan))
            add("unwritten registers", name, edge, reads, 0)
    training = dataclasses.replace(
        recipe.training, iterations=16, long_rollout_probability=0.3, long_rollout_steps=300
    )
    run = dataclasses.replace(recipe, training=training, stages=())
    add("resumed run", "the recipe's", "both", resumed(run, vgg, device), 0)
    add("resumed run", "with a decoder", "both", resumed(drawn(run), vgg, device), 0)
    return table


def ahead(trainer: Trainer, count: int, device: torch.device) -> float:
    """Return the seconds of an iteration, of `count` as a run takes them: each begins early."""
    torch.cuda.synchronize(device)
    started, waiting = time.perf_counter(), trainer.begin()
    for _ in range(count - 1):
        coming = trainer.begin()
        waiting()
        waiting = coming
    waiting()
    return (time.perf_counter() - started) / count


def measure(
    recipe: Recipe, sizes: list[str], exact: VGGFeatures, vgg: VGGFeatures, device: torch.device
) -> list[results.Table]:
    """Time the loops in turns; return the tables `loops` and `warm-up`."""
    columns = {"size": "", "loop": "", "ms": ".2f", "x torch": ".1f", "x plain": ".1f"}
    loops = results.Table("loops", {**columns, "GB": ".1f"})
    warm = results.Table("warm-up", {"size": "", "iterations": "", "s": ".1f", "GB": ".1f"})
    picture = load_style(recipe.folder / recipe.rules[0].style[0].path)
    for name in sizes:
        of_size = sized(recipe, name)
        old = dataclasses.replace(of_size.training, long_rollout_probability=LONG_SHARE)
        torch.cuda.reset_peak_memory_stats()
        started, fused = time.perf_counter(), ripe(make(of_size, vgg, device))
        for _ in range(WARM_UP):
            fused.step()
        seconds, taken = time.perf_counter() - started, torch.cuda.max_memory_allocated() / 1e9
        aged = ripe(make(dataclasses.replace(of_size, training=old), vgg, device))
        by_torch = ripe(make(of_size, vgg, device, fused=False))
        ways: dict[str, Callable[[], float]] = {}
        simple = plain(of_size, exact, picture, device)
        ways["plain loop"] = lambda simple=simple: timed(simple, device)
        ways["torch"] = lambda trainer=by_torch: timed(trainer.step, device)
        ways["fused"] = lambda trainer=fused: ahead(trainer, IN_A_ROW, device)
        ways["fused, long runs"] = lambda trainer=aged: ahead(trainer, IN_A_ROW, device)
        drawing = [ripe(make(drawn(of_size), vgg, device, kernels)) for kernels in (False, True)]
        ways["torch, decoder"] = lambda trainer=drawing[0]: timed(trainer.step, device)
        ways["fused, decoder"] = lambda trainer=drawing[1]: ahead(trainer, IN_A_ROW, device)
        times: dict[str, list[float]] = {way: [] for way in ways}
        peaks = dict.fromkeys(ways, 0.0)
        for number in range(ROUNDS + 2):
            for way, iteration in ways.items():
                torch.cuda.reset_peak_memory_stats()
                found = iteration()
                peaks[way] = max(peaks[way], torch.cuda.max_memory_allocated() / 1e9)
                if number >= 2:
                    times[way].append(found)
        medians = {way: statistics.median(of_way) for way, of_way in times.items()}
        # The older trainer wants memory of its own.
        del fused, aged, by_torch, drawing, simple, ways
        torch.cuda.empty_cache()
        older = older_trainer.seconds(SIZES[name], IN_A_ROW, device.type)
        if older is not None:
            medians[older_trainer.COMMIT], peaks[older_trainer.COMMIT] = older, math.nan
        batch, side, steps, *_ = SIZES[name]
        label = f"{batch}x{side}, {steps} steps"
        for way, median in medians.items():
            faster = medians["torch"] / median, medians["plain loop"] / median
            loops.add(label, way, 1e3 * median, *faster, peaks[way])
        warm.add(label, WARM_UP, seconds, taken)
    return [loops, warm]


def train_both(
    recipe: Recipe, iterations: int, vgg: VGGFeatures, device: torch.device
) -> results.Table:
    """Train two rules both ways; return the table `curves`."""
    training = dataclasses.replace(recipe.training, iterations=iterations, vgg="auto")
    recipe = dataclasses.replace(recipe, rules=recipe.rules[:2], training=training, stages=())
    parts = {f"style, quarter {number + 1}": ".3f" for number in range(QUARTERS)}
    table = results.Table("curves", {"way": "", "iterations": "", "s": ".1f", **parts})
    for way in ("torch", "fused"):
        trainer = make(recipe, vgg, device, fused=way == "fused")
        started = time.perf_counter()
        styles = [progress.losses["style"] for progress in trainer.run()]
        seconds, length = time.perf_counter() - started, len(styles) // QUARTERS
        quarters = [styles[n * length : (n + 1) * length] for n in range(QUARTERS)]
        table.add(way, iterations, seconds, *(statistics.fmean(q) for q in quarters))
    return table


def sharing(
    recipe: Recipe, size: str, counts: list[int], device: str, iterations: int
) -> results.Table:
    """Train with as many processes as each of `counts`; return the table `gpus`."""
    recipe = sized(recipe, size)
    training = dataclasses.replace(recipe.training, iterations=iterations)
    recipe = dataclasses.replace(recipe, training=training)
    batch, side, steps, *_ = SIZES[size]
    table = results.Table("gpus", {"size": "", "GPUs": "", "samples/s": ".1f", "x one": ".2f"})
    rates: list[float] = []
    for count in counts:
        times: list[float] = []

        def report(news: object, times: list[float] = times) -> None:
            times.append(time.perf_counter())

        with tempfile.TemporaryDirectory() as folder:
            train_on_several(
                recipe, Path(folder, "out.safetensors"), Path(folder, "run"), processes=count,
                device=device, sheet_every=iterations, report=report,
            )  # fmt: skip
        half = len(times) // 2  # the first ones compile and record
        rates.append(batch * (len(times) - 1 - half) / (times[-1] - times[half]))
        table.add(f"{batch}x{side}, {steps} steps", count, rates[-1], rates[-1] / rates[0])
    return table


def refusal(recipe: Recipe) -> str:
    """Return why there is nothing to measure here, empty if there is."""
    if not torch.cuda.is_available():
        return "this benchmark needs an NVIDIA GPU, and there is none here"
    device = torch.device("cuda")
    reason = obstacle(recipe, device, matmul_dtype(recipe.training.precision, device))
    return reason and f"the fused kernels do not run here: {reason}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--iterations", type=int, default=400)
    results.add_record(parser)
    asked = parser.parse_args()
    recipe = load_recipe(RECIPE)
    if reason := refusal(recipe):
        print(reason, file=sys.stderr)
        sys.exit(2)
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    exact, vgg = load_vgg("auto", device), load_vgg("auto", device, torch.bfloat16)
    tables: list[Any] = [checks(recipe, vgg, device)]
    tables += measure(recipe, asked.sizes, exact, vgg, device)
    tables.append(train_both(recipe, asked.iterations, vgg, device))
    gpus = torch.cuda.device_count()
    if gpus > 1:
        counts = [1, min(gpus, SIZES["m"][0])]
        tables.append(sharing(recipe, "m", counts, "cuda", asked.iterations))
    else:
        print("there is one GPU: batches that several share are not measured")
    results.record(asked, "gpu_training", *tables)
    if any(row[-1] == "no" for row in tables[0].rows):
        print("a check failed: the figures are those of wrong results", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
