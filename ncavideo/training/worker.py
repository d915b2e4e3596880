"""One training run in a process of its own: `python -m ncavideo.training.worker`.

The job on its input: `recipe`, `output`, `folder` (paths), `sheet_every`. Stopped by SIGTERM, at
any moment and however often, it writes the rule set as far as it has come. It says how it goes in
lines of JSON.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from ncavideo.batch.worker import say
from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.parent import leave_with_parent

EVERY = 0.5  # seconds between two lines of progress


def main() -> int:
    """Train; the last line says how it ended."""
    job = json.loads(sys.stdin.buffer.readline())
    leave_with_parent()
    # Noted, not raised: nothing may cut short what is being saved. While it trains, `train` has a
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
