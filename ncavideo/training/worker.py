"""One training run in a process of its own: `python -m ncavideo.training.worker`.

The job: `recipe`, `output`, `folder` (paths), `sheet_every`. Stopped by SIGTERM, at any moment and
any number of times, it writes the rule set as trained so far.
"""

from __future__ import annotations

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
    from ncavideo.training.recipe_file import load_recipe
    from ncavideo.training.run import save_so_far, train
    from ncavideo.training.trainer import Progress

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
                sheet_every=job["sheet_every"],
                report=report,
                note=lambda text: say(kind="note", text=text),
            )  # fmt: skip
        except KeyboardInterrupt:
            iteration = save_so_far(recipe, output, folder)
            say(kind="stopped", done=iteration)
        else:
            say(kind="done", done=recipe.iterations)
    except (UserError, OutputError, MemoryError) as error:
        say(kind="failed", reason=str(error) or "there is not enough memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
