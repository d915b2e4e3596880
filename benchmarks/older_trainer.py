"""The trainer of an earlier commit, timed in a process of its own, which is no benchmark by itself.

Commit 66c537e is the last one whose trainer ran on a GPU as plain torch with its conditions drawn
on the CPU one by one; the goals for the fused kernels are multiples of it.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

COMMIT = "66c537e"
ROOT = Path(__file__).parent.parent
PARTS = ("ncavideo", "benchmarks/training.py", "presets", "examples/styles")

SCRIPT = """
import dataclasses, json, statistics, sys
import torch
import training as bench
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.vgg import load_vgg

batch, side, steps, channels, hidden, iterations, name = json.loads(sys.argv[1])
device = torch.device(name)
recipe = load_recipe(bench.RECIPE)
recipe = dataclasses.replace(
    recipe,
    model=dataclasses.replace(recipe.model, channels=channels, hidden=hidden),
    training=dataclasses.replace(
        recipe.training, size=side, batch=batch, steps=(steps, steps), long=0.0, vgg="auto"
    ),
    stages=(),
)
precise = torch.bfloat16 if bench.fast_bfloat16(device) else torch.float32
iteration = bench.ours(recipe, load_vgg("auto", device, precise), device)
times = [bench.timed(iteration, device) for _ in range(iterations + 2)]
print(statistics.median(times[2:]))
"""


def seconds(size: tuple[int, int, int, int, int], iterations: int, device: str) -> float | None:
    """Return the median of an iteration's seconds, None where the commit is not to be had.

    `size`: samples, side, steps, channels, hidden units. Raises `CalledProcessError`.
    """
    archive = ["git", "-C", str(ROOT), "archive", COMMIT, *PARTS]
    packed = subprocess.run(archive, capture_output=True)
    if packed.returncode:
        return None
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="data")
        env = dict(os.environ, PYTHONPATH=os.pathsep.join([folder, f"{folder}/benchmarks"]))
        asked = json.dumps([*size, iterations, device])
        run = [sys.executable, "-c", SCRIPT, asked]
        done = subprocess.run(
            run, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=True
        )
    return float(done.stdout.split()[-1])
