"""A sweep from beginning to end: its folder, the runs side by side, and what came of them."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ncavideo.batch import ray_cluster
from ncavideo.nca.catalog import SUFFIX
from ncavideo.training.recipe_difference import difference
from ncavideo.training.sweep.hosts import PATIENCE, Host, hosts_here, hosts_there
from ncavideo.training.sweep.results import RESULTS, RunResult, SweepResult
from ncavideo.training.sweep.sweep_file import Sweep, SweepRun
from ncavideo.util.atomic_write import replacing
from ncavideo.util.device import choose_device
from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.events import crash, event
from ncavideo.util.lock import Lock
from ncavideo.util.worker_process import LostError

RECIPE = "recipe.toml"  # in a run's folder, where a training keeps its own
LOCK = ".lock"


class SweepInterruptedError(KeyboardInterrupt):
    """Ctrl-C ended a sweep, whose runs are saved; says where, and how to go on."""


def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    jobs: int | None = None,
    device: str = "auto",
    sheet_every: int = 250,
    fresh: bool = False,
    ray: str | None = None,
    needs: ray_cluster.Needs | None = None,
    report: Callable[[RunResult], None] = lambda run: None,
    note: Callable[[str], None] = lambda text: None,
) -> SweepResult:
    """Train a sweep's runs, `jobs` at once, each in a process and a folder of its own.

    What is done already is not done again, unless `fresh`; half a run goes on from its checkpoint.
    A run that fails leaves the others alone. `ray`, `needs`: as in `run_batch`. `report` gets each
    run whenever it has moved on, `note` sentences for the user; both are called from threads.
    Raises `UserError` for a folder of something else or pictures that cannot be used, before any
    run begins, `OutputError` if the results cannot be written, and `SweepInterruptedError`.
    """
    if ray is None:
        choose_device(device)
    _check_pictures(sweep)
    result = SweepResult(
        sweep.name,
        sweep.base.to_json(),
        list(sweep.fields),
        [RunResult(run.name, run.values) for run in sweep.runs],
    )
    _check_folder(sweep, folder)
    try:
        with ExitStack() as stack:
            folder.mkdir(parents=True, exist_ok=True)
            busy = f"another sweep is at work in {folder}: wait for it, or name another --folder"
            stack.callback(Lock(folder / LOCK, busy).release)
            waiting: queue.Queue[tuple[SweepRun, RunResult]] = queue.Queue()
            for run, state in zip(sweep.runs, result.runs, strict=True):
                output = output_of(folder, run)
                if fresh:  # else an interrupted sweep would later take it for the new one
                    output.unlink(missing_ok=True)
                if output.exists():
                    state.state, state.before = "done", True
                    _take(state, folder, run)
                    report(state)
                else:
                    waiting.put((run, state))
            result.write(folder)
            if waiting.qsize():
                if ray is None:
                    hosts = hosts_here(waiting.qsize(), jobs, device)
                else:
                    watch = stack.enter_context(ray_cluster.connected(ray))
                    hosts = hosts_there(waiting.qsize(), jobs, needs or ray_cluster.Needs(), watch)
                order = {
                    "device": device, "sheet_every": sheet_every, "fresh": fresh,
                    "group": sweep.name,
                }  # fmt: skip
                event("sweep.begin", name=sweep.name, runs=waiting.qsize(), jobs=len(hosts))
                slots = [_Slot(host, waiting, folder, order, report, note) for host in hosts]
                try:
                    _wait(slots)
                finally:
                    result.write(folder)
            event("sweep.done", **{s: result.count(s) for s in ("done", "failed")})
    except OSError as error:
        raise OutputError(f"cannot write the sweep: {error.strerror or error}") from error
    except KeyboardInterrupt as interrupt:
        raise SweepInterruptedError(
            f"interrupted: {result.count('done')} of {len(result.runs)} runs are done, what the"
            f" others have is saved in {folder}; the same command goes on from there"
        ) from interrupt
    return result


def output_of(folder: Path, run: SweepRun) -> Path:
    """Return where a run's rule set is written, in the sweep's `folder`."""
    return folder / run.name / f"{run.recipe.name}{SUFFIX}"


def _take(state: RunResult, folder: Path, run: SweepRun) -> None:
    """Take what a run's folder says about a run that is done."""
    state.read_log(folder / run.name)
    state.iterations = run.recipe.iterations
    state.ruleset = str(output_of(folder, run))


def _check_pictures(sweep: Sweep) -> None:
    """Raise `UserError` for a style picture that cannot be used."""
    from ncavideo.training.style_picture import recipe_style

    seen = set()
    for run in sweep.runs:
        for rule in run.recipe.rules:
            for picture in rule.style:
                if picture not in seen:
                    seen.add(picture)
                    recipe_style(run.recipe, picture, lambda text: None)


def _check_folder(sweep: Sweep, folder: Path) -> None:
    """Raise `UserError` for a folder that is not this sweep's, or not a folder."""
    other = "name another --folder"
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UserError(f"{folder} cannot be the sweep's folder: it is something else")
        known = folder / RESULTS
        if not known.exists():
            if any(path.name != LOCK for path in folder.iterdir()):
                raise UserError(f"{folder} holds something else than a sweep: {other}")
            return
        data = json.loads(known.read_text(encoding="utf-8"))
        name, base, fields = data["name"], data["recipe"], sorted(data["fields"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{RESULTS} in it cannot be read" if isinstance(error, ValueError) else str(error)
        raise UserError(f"{folder} cannot be the sweep's folder ({reason}): {other}") from error
    belongs = f"{folder} belongs to another sweep"
    if name != sweep.name:
        raise UserError(f"{belongs}, {name}: {other}")
    if fields != sorted(sweep.fields):
        raise UserError(f"{belongs}, which varies {', '.join(fields)}: {other}")
    changed = difference(sweep.base, base)
    if changed:
        raise UserError(f"{belongs}: its base recipe has another `{changed}`; {other}")


class _Slot(threading.Thread):
    """Takes runs from the queue and has its host train them."""

    def __init__(
        self,
        host: Host,
        waiting: queue.Queue[tuple[SweepRun, RunResult]],
        folder: Path,
        order: dict[str, Any],
        report: Callable[[RunResult], None],
        note: Callable[[str], None],
    ) -> None:
        super().__init__(name="sweep", daemon=True)
        self._host, self._waiting, self._folder, self._order = host, waiting, folder, order
        self._report, self._note = report, note
        self._leaving, self.ended = threading.Event(), threading.Event()

    def run(self) -> None:
        """Train until nothing is left; `ended` tells that nothing is being done any more."""
        try:
            while not self._leaving.is_set():
                try:
                    run, state = self._waiting.get_nowait()
                except queue.Empty:
                    return
                self._train(run, state)
                event("sweep.run", name=run.name, state=state.state, reason=state.reason)
                self._report(state)
        finally:
            self.ended.set()

    def _train(self, run: SweepRun, state: RunResult) -> None:
        last: dict[str, Any] = {}
        try:
            for last in self._host.run(self._written(run), f"{self._order['group']} {run.name}"):
                if last["kind"] == "progress":
                    state.state, state.iterations = "training", last["done"]
                    self._report(state)
                elif last["kind"] == "note":
                    self._note(f"{run.name}: {last['text']}")
            state.state, state.reason = last["kind"], last.get("reason", "")
            state.iterations = last.get("done", state.iterations)
        except LostError as lost:
            state.state = "failed"
            state.reason = f"the training crashed ({lost}): there may not be enough memory"
        except OSError as error:
            state.state, state.reason = "failed", f"cannot write: {error.strerror or error}"
        except Exception as error:
            # A bug must not take the other runs, or the exit code, with it.
            crash("sweep.crashed")
            state.state, state.reason = "failed", f"{type(error).__name__}: {error}"
        if state.state == "done":
            _take(state, self._folder, run)
        else:
            state.read_log(self._folder / run.name)
            if self._leaving.is_set():
                state.state, state.reason = "stopped", ""

    def _written(self, run: SweepRun) -> dict[str, Any]:
        """Write a run's recipe into its folder, and return the order for its worker."""
        folder = (self._folder / run.name).absolute()
        folder.mkdir(exist_ok=True)
        with replacing(folder / RECIPE) as partial:
            partial.write_text(run.recipe.to_toml(folder), encoding="utf-8")
        return {
            **self._order,
            "name": run.name,
            "recipe": str(folder / RECIPE),
            "folder": str(folder),
            "output": str(output_of(self._folder, run).absolute()),
        }

    def stop(self) -> None:
        """Ask the run to save itself and end; does not wait."""
        self._leaving.set()
        self._host.stop()


def _wait(slots: Sequence[_Slot]) -> None:
    """Start the slots and wait until all have ended; whatever ends the wait stops them first."""
    try:
        for slot in slots:
            slot.start()
        for slot in slots:
            # With a limit: not every system lets Ctrl-C through to a thread that waits.
            while not slot.ended.wait(0.2):
                pass
    finally:
        for slot in slots:
            slot.stop()
        for slot in slots:
            if slot.ident is not None:
                slot.ended.wait(2 * PATIENCE)
