"""`ncavideo batch`."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ncavideo.cli.common import EXIT_FAILED, one_sentence_errors, report_options, say
from ncavideo.cli.ray_options import ray_options
from ncavideo.cli.render_options import RenderCommand, asked_values, look_option, table_options
from ncavideo.util.atomic_write import replacing
from ncavideo.util.errors import UserError
from ncavideo.util.printable import printable

if TYPE_CHECKING:
    from ncavideo.batch.jobs import Job
    from ncavideo.batch.journal import Entry
    from ncavideo.batch.run import BatchReport, JobProgress


@click.command("batch", cls=RenderCommand)
@click.argument("sources", nargs=-1, required=True, metavar="CLIP|FOLDER|PATTERN|LIST...")
@click.option(
    "--out-dir",
    required=True,
    metavar="FOLDER|URL",
    help="Folder for the outputs; made if missing.",
)
@look_option
@click.option("--recursive", is_flag=True, help="Search the folders' subfolders, too.")
@click.option(
    "--template",
    default="{stem}.{rules}{suffix}",
    show_default=True,
    help="Names of the outputs: {stem}, {rules}, {suffix}, {parent}, {number}.",
)
@click.option(
    "--workers",
    type=int,
    show_default="by CPU cores, GPUs and memory",
    help="Number of clips rendered at once.",
)
@click.option(
    "--retries",
    default=2,
    show_default=True,
    help="Attempts after a transient failure, such as a full disk.",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    show_default="in --out-dir, or in this folder for a URL",
    help="File that records which clips are done.",
)
@click.option("--dry-run", is_flag=True, help="List the outputs without rendering.")
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE", help="Report to write (.json)."
)
@report_options
@ray_options("render", "clip", memory=1.5)
@table_options("look", "file", "machine", also=("overwrite", "strict_streams"))
def batch_command(
    sources: tuple[str, ...],
    out_dir: str,
    recursive: bool,
    template: str,
    workers: int | None,
    retries: int,
    ray: str | None,
    ray_cpus: float,
    ray_gpus: float | None,
    ray_memory: float,
    journal: Path | None,
    dry_run: bool,
    report: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Render many clips; goes on where it stopped, and one bad clip does not stop the rest.

    \b
        ncavideo batch clips/ --out-dir out --rules fire,moss
        ncavideo batch "rushes/*.mov" list.csv --out-dir out --look dusk.toml
        ncavideo batch s3://shoot/day1 --out-dir s3://shoot/burnt --rules fire --ray auto
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.batch.jobs import find_jobs
        from ncavideo.batch.ray_cluster import Needs
        from ncavideo.batch.run import run_batch
        from ncavideo.batch.urls import place

        if workers is not None and not 1 <= workers <= 256:
            raise UserError(f"--workers must lie between 1 and 256, not {workers}")
        if not 0 <= retries <= 100:
            raise UserError(f"--retries must lie between 0 and 100, not {retries}")
        if report is not None:
            _check_report(report)
        needs = Needs(ray_cpus, ray_gpus, ray_memory * 1e9)
        folder = place(out_dir)
        jobs = find_jobs(
            sources, folder, asked_values(options), template=template, recursive=recursive
        )
        if dry_run:
            for job in jobs:
                say(f"{plain(job.clip)} -> {plain(job.output)}")
            return
        with _bars(jobs, quiet) as (news, finished):
            done = run_batch(
                jobs,
                folder,
                workers=workers,
                retries=retries,
                ray=ray,
                needs=needs,
                journal=journal,
                news=news,
                finished=finished,
            )
        if report is not None:
            _write(report, done)
    if as_json:
        click.echo(json.dumps(done.as_json()))
    elif not quiet:
        say(_table(done), err=True)
    # Counted by the clips that are done, so that no other outcome can pass for success.
    if done.count("done") + done.count("skipped") < len(jobs):
        sys.exit(EXIT_FAILED)


@contextmanager
def _bars(jobs: list[Job], quiet: bool) -> Iterator[tuple[Any, Any]]:
    """Give the functions that move one bar for all clips, and one for each worker."""
    from tqdm import tqdm

    lock = threading.Lock()
    total: tqdm[Any] = tqdm(
        total=len(jobs), desc="batch", unit="clip", disable=quiet, dynamic_ncols=True, position=0
    )
    bars: dict[int, tqdm[Any]] = {}
    shown: dict[int, Job] = {}

    def news(news: JobProgress) -> None:
        with lock:
            bar = bars.get(news.worker)
            if bar is None:
                bar = bars[news.worker] = tqdm(
                    unit="frame", disable=quiet, leave=False, dynamic_ncols=True,
                    position=news.worker + 1,
                )  # fmt: skip
            if shown.get(news.worker) is not news.job:
                shown[news.worker] = news.job
                bar.reset(news.frames)
                bar.set_description(plain(news.job.clip.name), refresh=False)
            bar.update(max(news.done - bar.n, 0))
            if news.elsewhere and not quiet:
                said = f"waiting for another batch that is at work on {plain(news.job.output)}"
                total.write(said, file=sys.stderr)

    def finished(job: Job, entry: Entry) -> None:
        with lock:
            total.update()
            # A failed clip is an error and not a report: it is printed even with --quiet.
            if entry.state == "failed" or (entry.state != "done" and not quiet):
                said = plain(f"{entry.state}: {entry.clip}: {entry.reason}")
                total.write(said, file=sys.stderr)

    try:
        yield news, finished
    finally:
        for bar in bars.values():
            bar.close()
        total.close()


def _table(report: BatchReport) -> str:
    """Return the summary."""
    others = sum(entry.by_another for entry in report.entries)
    before = f" ({others} of them by another run)" if others else ""
    lines = [
        f"{report.count('done')} done{before}, {report.count('failed')} failed,"
        f" {report.count('skipped')} skipped in {report.seconds:.0f} s"
    ]
    for entry in report.entries:
        tail = plain(entry.reason) or f"{entry.frames} frames, {entry.seconds:.1f} s"
        lines.append(f"  {entry.state:<8}{plain(Path(entry.output).name)}: {tail}")
        lines += [f"          note: {plain(note)}" for note in entry.notes]
    return "\n".join(lines)


def plain(name: object) -> str:
    """Return a file's name as one printable line, whatever it is made of."""
    from ncavideo.util.fetch import hidden

    return printable(hidden(name), keep="")


def _check_report(path: Path) -> None:
    """Raise `UserError` for a file that is no report, such as a clip, before work begins."""
    from ncavideo.util.read_file import may_hold_json

    try:
        if may_hold_json(path):
            return
    except OSError as error:
        raise UserError(f"the report {path} cannot be written: {error.strerror}") from error
    raise UserError(f"{path} is no report: name another file for --report")


def _write(path: Path, report: BatchReport) -> None:
    try:
        with replacing(path) as partial:
            partial.write_text(json.dumps(report.as_json(), indent=1), "utf-8")
    except OSError as error:
        raise UserError(f"the report {path} cannot be written: {error.strerror}") from error
