"""`ncavideo train --sweep`."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ncavideo.cli.common import EXIT_FAILED, say
from ncavideo.cli.headings import HeadedOption
from ncavideo.cli.ray_options import ray_options
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from ncavideo.training.recipe import Recipe
    from ncavideo.training.sweep.results import RunResult

Command = TypeVar("Command", bound=Callable[..., Any])
MOST_JOBS = 256


def sweep_options(command: Command) -> Command:
    """Add the options that are for sweeps."""
    command = ray_options("train a sweep", "run of a sweep", memory=2.0)(command)
    command = click.option(
        "--jobs",
        type=int,
        metavar="N",
        show_default="by GPUs, or CPU cores and memory",
        help="Number of a sweep's runs trained at once.",
        cls=HeadedOption,
        heading="Sweep",
    )(command)
    return click.option(
        "--sweep",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Sweep (.toml), instead of a RECIPE: several runs from a base recipe.",
        cls=HeadedOption,
        heading="Sweep",
    )(command)


@dataclass(frozen=True)
class SweepOptions:
    """The values of `sweep_options`."""

    sweep: Path | None
    jobs: int | None
    ray: str | None
    ray_cpus: float
    ray_gpus: float | None
    ray_memory: float

    @classmethod
    def taken(cls, options: dict[str, Any]) -> SweepOptions:
        """Take the values out of a command's options. Raises `UserError` without a sweep."""
        found = cls(**{name: options.pop(name) for name in cls.__dataclass_fields__})
        if found.sweep is None:
            for flag, value in (("--jobs", found.jobs), ("--ray", found.ray)):
                if value is not None:
                    raise UserError(f"{flag} is for a sweep: give --sweep FILE")
        if found.jobs is not None and not 1 <= found.jobs <= MOST_JOBS:
            raise UserError(f"--jobs must lie between 1 and {MOST_JOBS}, not {found.jobs}")
        return found


def train_sweep(
    options: SweepOptions,
    folder: Path | None,
    changed: Callable[[Recipe], Recipe],
    bar: Callable[..., None],
    *,
    device: str,
    sheet_every: int,
    fresh: bool,
    iterations: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a sweep, print its table, and leave with exit code 1 if a run is not done.

    `changed`: what the command line makes of each recipe; `bar` shows the iterations of all runs.
    """
    from ncavideo.batch.ray_cluster import Needs
    from ncavideo.training.sweep.run_sweep import run_sweep
    from ncavideo.training.sweep.sweep_file import load_sweep

    assert options.sweep is not None
    needs = Needs(options.ray_cpus, options.ray_gpus, options.ray_memory * 1e9)
    sweep = load_sweep(options.sweep, changed)
    if iterations is not None and "training.iterations" in sweep.fields:
        raise UserError("--iterations and the sweep both set `training.iterations`: leave one out")
    total = sum(run.recipe.iterations for run in sweep.runs)
    states: dict[str, RunResult] = {}
    lock = threading.Lock()

    def report(run: RunResult) -> None:
        with lock:
            if run.state == "failed" and not as_json:
                # An error and not a report: it is printed even with --quiet.
                say(f"ncavideo: {run.name} failed: {run.reason}", err=True)
            states[run.name] = run
            ended = sum(r.state in ("done", "failed") for r in states.values())
            done = sum(r.iterations for r in states.values())
            bar(done, total, f"{ended} of {len(sweep.runs)} runs")

    where = folder or Path("sweeps") / options.sweep.stem
    result = run_sweep(
        sweep,
        where,
        jobs=options.jobs,
        device=device,
        sheet_every=sheet_every,
        fresh=fresh,
        ray=options.ray,
        needs=needs,
        report=report,
        note=lambda text: say(f"ncavideo: {text}", err=True),
    )
    if as_json:
        click.echo(json.dumps(result.as_json()))
    elif not quiet:
        say(result.table())
        before = sum(run.before for run in result.runs)
        said = f"{result.count('done')} done ({before} before), {result.count('failed')} failed"
        say(f"{said}: the runs and the table are in {where}", err=True)
    if result.count("done") < len(result.runs):
        sys.exit(EXIT_FAILED)
