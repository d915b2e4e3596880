"""Several processes that share each batch: their weights are those of one, and all of them end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from click.testing import CliRunner
from patience import PATIENCE, until
from torch import Tensor

from ncavideo.cli.main import main
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import ModelRecipe, Recipe, RuleRecipe, TrainingRecipe
from ncavideo.training.run import CHECKPOINT, LOCK, TrainingInterruptedError, train
from ncavideo.training.several import train_on_several
from ncavideo.training.share import Share
from ncavideo.util.errors import OutputError

pytestmark = [pytest.mark.train, pytest.mark.slow]

PROGRAM = Path(__file__).with_name("shared_batch.py")
WORKER = "ncavideo.training.several_worker"


def test_shares_are_even_and_leave_nothing_out() -> None:
    for whole, processes in ((3, 2), (8, 3), (5, 5)):
        shares = [Share.of_rank(rank, processes, whole) for rank in range(processes)]
        assert [i for s in shares for i in range(whole)[s.rows]] == list(range(whole))
        assert max(s.count for s in shares) == Share.most(processes, whole)
        assert min(s.count for s in shares) >= Share.most(processes, whole) - 1
    own, judged = Share(1, 2, 3).within([0, 2])
    assert own == [1] and judged == Share(1, 1, 2)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    """Style, decoder, guide and fused kernels; batches of three and two, with long runs."""
    places = [(0, 1), (0, 2), (1, 2)]
    files = [tmp_path / f"{rank}-of-{size}.pt" for rank, size in places]
    running = [
        subprocess.Popen(
            [sys.executable, PROGRAM, str(rank), str(size), str(tmp_path / "meeting"), str(file)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for (rank, size), file in zip(places, files, strict=True)
    ]
    try:
        for process in running:
            _, said = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, said
    finally:
        for process in running:
            process.kill()
    alone, first, second = (torch.load(file, weights_only=True) for file in files)
    assert same(first, second), "the copies are the same, bit for bit"
    for name, one in alone.items():
        two = first[name]
        assert same(two["state"], two["again"]), f"{name}: a resumed run is the uninterrupted one"
        for a, b in zip(one["news"], two["news"], strict=True):
            assert a["kinds"].keys() == b["kinds"].keys()
            assert a["histories"].keys() == b["histories"].keys()
        assert two["news"][0]["losses"] == pytest.approx(one["news"][0]["losses"], rel=1e-4)
        for a, b in zip(one["gradients"][0], two["gradients"][0], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5, msg=name)
        a, b = one["state"], two["state"]
        for key in ("generator", "torch", "steps_taken"):
            assert same(a[key], b[key]), f"{name}: {key}: the draws are the same"
        assert same(a["pool"]["kinds"], b["pool"]["kinds"])
        for part in ("weights", "decoder"):
            for key in a[part] or ():
                torch.testing.assert_close(
                    a[part][key], b[part][key], rtol=0, atol=1e-6, msg=f"{name}: {part}"
                )
        states = (of["pool"]["states"] for of in (a, b))
        torch.testing.assert_close(*states, rtol=0, atol=1e-5, msg=name)


# Whole runs


def small(**training: Any) -> Recipe:
    """Return a recipe without pictures, whose processes are there soon."""
    loop: dict[str, Any] = {
        "iterations": 100_000, "size": 32, "batch": 3, "pool": 4, "steps": (2, 4),
        "long_rollout_steps": 3, "precision": "float32",
    }  # fmt: skip
    rules = (RuleRecipe("fire"), RuleRecipe("moss"))
    model = ModelRecipe(channels=4, hidden=8)
    return Recipe("small", rules, model, TrainingRecipe(**(loop | training)))


def workers(parent: int | None = None) -> list[psutil.Process]:
    """Return the processes that train for a process, by default this one."""
    found = []
    for child in psutil.Process(parent).children():
        try:
            if WORKER in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_saves_once_and_another_number_goes_on(tmp_path: Path) -> None:
    """One process goes on; the two before had drawn, and its first draws are the next ones."""

    def stop(news: Progress) -> None:
        if news.iteration == 3:
            os.kill(os.getpid(), signal.SIGINT)

    where, folder = tmp_path / "out.safetensors", tmp_path / "run"
    with pytest.raises(TrainingInterruptedError, match="the same command goes on") as interrupt:
        train_on_several(small(), where, folder, processes=2, device="cpu", report=stop)
    assert not workers()
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    assert state["iteration"] == interrupt.value.iteration >= 3
    assert state["processes"] == 2 and not where.exists()

    class StopError(Exception):
        pass

    seen, notes = list[int](), list[str]()

    def look(news: Progress) -> None:
        seen.append(news.iteration)
        raise StopError

    with pytest.raises(StopError):
        train(small(), where, folder, device="cpu", report=look, note=notes.append)
    assert seen == [state["iteration"] + 1]
    (note,) = notes
    assert "made by 2 processes and goes on by 1 process" in note and "bit for bit" in note


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_killed_process_ends_the_run_in_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def kill(news: Progress) -> None:
        if news.iteration == 3:
            lock = str(folder / LOCK)
            (other,) = [w for w in workers() if lock not in {file.path for file in w.open_files()}]
            other.kill()

    with pytest.raises(OutputError, match=r"process 2 ended \(signal 9\), one of the 2") as error:
        train_on_several(
            small(), tmp_path / "out.safetensors", folder, processes=2, device="cpu", report=kill,
            checkpoint_every=2,
        )  # fmt: skip
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    assert not workers()
    assert torch.load(folder / CHECKPOINT, weights_only=True)["iteration"] >= 2


RECIPE = """
format = 1
[[rule]]
name = "fire"
style = "none.png"
[training]
batch = 2
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny.toml", "--gpus", "3"], "cannot share a batch of 2"),
        (["tiny.toml", "--gpus", "0"], "--gpus must lie between 1 and"),
        (["--sweep", "rates.toml", "--gpus", "2"], "--gpus is for one run"),
    ],
)
def test_wrong_usage_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(RECIPE)
    done = CliRunner().invoke(main, ["train", *arguments, "--device", "cpu", "--quiet"])
    assert done.exit_code == 2, done.output
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.skipif(torch.cuda.device_count() > 1, reason="there are several GPUs here")
def test_more_gpus_than_there_are_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(RECIPE)
    done = CliRunner().invoke(main, ["train", "tiny.toml", "--gpus", "2", "--quiet"])
    assert done.exit_code == 2, done.output
    assert "needs 2 GPUs" in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_data_parallel import small\n"
        "from ncavideo.training.several import train_on_several\n"
        "out, run = Path('out.safetensors'), Path('run')\n"
        "train_on_several(small(), out, run, processes=2, device='cpu', checkpoint_every=2)\n"
    )
    words = [sys.executable, "-c", script, str(PROGRAM.parent)]
    paths = os.pathsep.join([str(PROGRAM.parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths})
    try:
        until((tmp_path / "run" / CHECKPOINT).exists, "a checkpoint", process=process)
        left = workers(process.pid)
        assert len(left) == 2
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(left, timeout=PATIENCE)
    assert not alive
