"""The folder of a run: what is in it, and that nobody else's files are touched."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tiny_runs import run_in as go
from tiny_runs import small

from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.loggers.folder import LOG, PLOT, append, read
from ncavideo.training.loggers.folder import plot as draw_plot
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import ModelRecipe
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.run import ANIMATION, RECIPE
from ncavideo.util.errors import BusyError, OutputError, UserError

pytestmark = pytest.mark.train


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
