"""One training run in a process of its own: `python -m ncavideo.training.worker`.

The job: `recipe`, `output`, `folder` (paths), `sheet_every`; in a sweep also `device`, `threads`
(of torch), `gpu` (the only one to see), `fresh`, and `group` and `name` for loggers. Stopped by
SIGTERM, at any moment and any number of times, it saves its checkpoint and, outside a sweep, writes
the rule set as trained so far.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.worker_process import read_job, say

EVERY = 0.5  # seconds between two lines of progress


def main() -> int:
    """Train; the last line says how it ended."""
    job = read_job()
    # Recorded, not raised: an exception must not interrupt a save. While it trains, `train` has a
    # handler of its own.
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    if job.get("gpu") is not None:  # before torch looks
        os.environ["CUDA_VISIBLE_DEVICES"] = job["gpu"]
    import torch

    from ncavideo.training.loggers.base import RunGroup
    from ncavideo.training.progress import Progress
    from ncavideo.training.recipe_file import load_recipe
    from ncavideo.training.run import save_so_far, train

    if job.get("threads"):
        torch.set_num_threads(job["threads"])
    group = RunGroup(job["group"], job["name"]) if job.get("group") else None
    spoken = 0.0

    def report(news: Progress) -> None:
        nonlocal spoken
        if time.monotonic() - spoken >= EVERY:
            spoken = time.monotonic()
            say(kind="progress", done=news.iteration, loss=news.losses["total"])
        if stopped:  # while it was starting
            raise KeyboardInterrupt

    output, folder = Path(job["output"]), Path(job["folder"])
    try:
        recipe = load_recipe(Path(job["recipe"]))
        try:
            train(
                recipe, output, folder,
                device=job.get("device", "auto"),
                sheet_every=job["sheet_every"],
                resume=not job.get("fresh", False),
                group=group,
                report=report,
                note=lambda text: say(kind="note", text=text),
            )  # fmt: skip
        except KeyboardInterrupt as interrupt:
            if group:  # its rule set is there once it is done, and not before
                say(kind="stopped", done=getattr(interrupt, "iteration", 0))
                return 0
            iteration = save_so_far(recipe, output, folder)
            say(kind="stopped", done=iteration)
        else:
            say(kind="done", done=recipe.iterations)
    except (UserError, OutputError, MemoryError) as error:
        say(kind="failed", reason=str(error) or "there is not enough memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
