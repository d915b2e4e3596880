"""Training by several processes that share each batch: data parallel, one process a GPU.

This process starts them and computes nothing itself, so that it can end all of them whatever
happens to one: a process on a GPU may wait for a lost one for ever. The first of them trains as
`run.train` does; `process_group` tells what they exchange.
"""

from __future__ import annotations

import math
import pickle
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ncavideo.nca.catalog import SUFFIX
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import Recipe
from ncavideo.training.run import TrainingInterruptedError, interrupts, train
from ncavideo.util.atomic_write import check_output
from ncavideo.util.device import choose_device
from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.events import event
from ncavideo.util.worker_process import LostError, WorkerProcess

WORKER = "ncavideo.training.several_worker"
MOST = 64  # processes
PATIENCE = 60.0  # seconds that a process has to end in after it was asked to
REASON = 10.0  # seconds within which a process that took others with it is seen to be gone
EVERY = 0.1  # seconds between two looks for Ctrl-C


def train_on_several(
    recipe: Recipe,
    output: Path,
    folder: Path,
    *,
    processes: int,
    device: str = "auto",
    sheet_every: int = 250,
    checkpoint_every: int = 100,
    resume: bool = True,
    overwrite: bool = True,
    report: Callable[[Progress], None] = lambda progress: None,
    note: Callable[[str], None] = lambda text: None,
) -> RuleSet:
    """Do what `run.train` does with as many processes, each of which computes a part of a batch.

    On a GPU each, or with the device `cpu` on the processor. The draws are those of one process and
    the weights the same but for rounding. A checkpoint may go on with another number of processes.
    Raises `UserError` for too few GPUs or samples, too, and `OutputError` if a process is lost; the
    others are ended then, and the last checkpoint stays.
    """
    check_output(output, (SUFFIX,), overwrite)
    devices = choose_devices(processes, device)
    check_batch(recipe, processes)
    if processes == 1:
        return train(
            recipe, output, folder, device=devices[0], sheet_every=sheet_every,
            checkpoint_every=checkpoint_every, resume=resume, overwrite=overwrite, report=report,
            note=note,
        )  # fmt: skip
    options = {
        "recipe": recipe, "output": output, "folder": folder, "sheet_every": sheet_every,
        "checkpoint_every": checkpoint_every, "resume": resume, "overwrite": overwrite,
    }  # fmt: skip
    order = {
        "size": processes,
        "threads": max(1, torch.get_num_threads() // processes),
        "options": pickle.dumps(options).hex(),
    }
    with tempfile.TemporaryDirectory() as meeting, interrupts() as interrupted:
        order["meeting"] = str(Path(meeting, "meeting"))
        with _Workers(order, devices) as workers:
            last = _listen(workers, interrupted, report, note)
    if last["kind"] == "done":
        return RuleSet.load(Path(last["output"]))
    if last["kind"] == "stopped":
        if last["done"] is None:  # before the first iteration: there is nothing to save
            raise KeyboardInterrupt
        raise TrainingInterruptedError(last["done"], recipe.iterations, folder)
    if last["kind"] == "lost" or last.get("of_another"):
        raise OutputError(
            f"{last['reason']}, one of the {processes} that share each batch: there may not be"
            f" enough memory; the last checkpoint is in {folder}, and the same command goes on from"
            " there"
        )
    raise (UserError if last["usage"] else OutputError)(last["reason"])


def choose_devices(processes: int, device: str) -> list[str]:
    """Return each process's device. Raises `UserError` if there are not as many GPUs."""
    if not 1 <= processes <= MOST:
        raise UserError(f"--gpus must lie between 1 and {MOST}, not {processes}")
    chosen = choose_device(device)
    if processes == 1 or device == "cpu":
        return [chosen] * processes
    if ":" in device:
        raise UserError(
            f"--gpus {processes} takes the first GPUs, and --device {device} is one: leave one out"
        )
    count = {"cuda": torch.cuda.device_count(), "mps": 1}.get(chosen, 0)
    if count < processes:
        there = f"there {'is' if count == 1 else 'are'} {count or 'none'} here"
        raise UserError(
            f"--gpus {processes} needs {processes} GPUs, and {there}: lower it (with --device cpu"
            " that many processes share the processor)"
        )
    return [f"{chosen}:{index}" for index in range(processes)]


def check_batch(recipe: Recipe, processes: int) -> None:
    """Raise `UserError` for a batch, of any stage, with too few samples for each to get one."""
    stages = [recipe.training, *(stage.training for stage in recipe.stages)]
    fewest = min(min(r.batch, r.pool) for r in stages)
    if fewest < processes:
        raise UserError(
            f"--gpus {processes} cannot share a batch of {fewest}: raise `training.batch` (and"
            " `training.pool`) to as many samples, or lower --gpus"
        )


class _Workers:
    """The processes; while open, `messages` gets `(rank, message)` of each.

    A lost process's message has the kind "lost" and a `reason`.
    """

    def __init__(self, order: dict[str, Any], devices: list[str]) -> None:
        self.messages: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        self._workers = [WorkerProcess(WORKER, PATIENCE) for _ in devices]
        self._stopped = threading.Event()
        orders = [{**order, "rank": r, "device": name} for r, name in enumerate(devices)]
        self._threads = [
            threading.Thread(target=self._run, args=(rank, own), name="process", daemon=True)
            for rank, own in enumerate(orders)
        ]

    def __enter__(self) -> _Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them; what the first has to save, it has saved."""
        self._stopped.set()
        for worker in self._workers:
            worker.kill()
        for thread in self._threads:
            thread.join(PATIENCE)

    def stop(self) -> None:
        """Ask the first to save the run and end, which ends it for the others, too."""
        self._stopped.set()
        self._workers[0].stop()

    def _run(self, rank: int, order: dict[str, Any]) -> None:
        try:
            for message in self._workers[rank].run(order, self._stopped.is_set):
                self.messages.put((rank, message))
        except LostError as lost:
            self.messages.put((rank, {"kind": "lost", "reason": str(lost)}))


def _listen(
    workers: _Workers,
    interrupted: list[int],
    report: Callable[[Progress], None],
    note: Callable[[str], None],
) -> dict[str, Any]:
    """Pass on what the processes tell until the run has ended; return the message of its end."""
    told, until = False, math.inf
    last: dict[str, Any] = {}
    while time.monotonic() < until:
        if interrupted and not told:
            told = True
            workers.stop()
        try:
            rank, message = workers.messages.get(timeout=EVERY)
        except queue.Empty:
            continue
        kind = message.pop("kind")
        if kind == "progress":
            report(Progress(**message))
        elif kind == "note":
            note(message["text"])
        elif kind == "event":
            event(message["name"], message["level"], **message["facts"])
        elif kind == "lost" and told and rank == 0:  # asked to stop while it was starting
            return {"kind": "stopped", "done": None}
        else:
            last = {"kind": kind, **message}
            if kind == "lost":
                last["reason"] = f"process {rank + 1} ended ({message['reason']})"
            if not message.get("of_another"):
                return last
            # Which other, and why, is about to be told.
            until = time.monotonic() + REASON
    return last
