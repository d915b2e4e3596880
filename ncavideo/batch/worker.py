"""One clip in a process of its own: `python -m ncavideo.batch.worker`, a job on its input.

Whatever a broken clip does to a decoder, it does to this process alone. It says how it goes in
lines of JSON, and ends when whoever started it is gone.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from ncavideo.batch.urls import local
from ncavideo.util.errors import BusyError, OutputError, RefusedError, UserError
from ncavideo.util.parent import leave_with_parent
from ncavideo.util.tested import blame

if TYPE_CHECKING:
    from ncavideo.rendering.render import RenderProgress

EVERY = 0.2  # seconds between two lines of progress


def say(**facts: Any) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Render the job; the last line says how it ended."""
    job = json.loads(sys.stdin.buffer.readline())
    leave_with_parent()
    cores = job.get("cores")
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    import time

    from ncavideo.util.events import crash, refused, tell

    tell(partial(say, kind="event"))
    spoken = 0.0

    def progress(news: RenderProgress) -> None:
        nonlocal spoken
        now = time.monotonic()
        if now - spoken >= EVERY:
            spoken = now
            say(kind="progress", done=news.done, frames=news.frames)

    try:
        # A library in a version that does not fit may fail as early as here.
        from ncavideo.rendering.options import RenderOptions
        from ncavideo.rendering.render import render

        options: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in job["options"].items()
        }
        names = (os.fsdecode(bytes.fromhex(job[k])) for k in ("clip", "output"))
        with local(*names) as (clip, output):
            report = render(clip, output, RenderOptions(**options), progress)
    except BusyError as error:
        # Whoever was given up is still leaving.
        say(kind="failed", reason=str(error), may_pass=True)
    except UserError as error:
        refused("render.failed", reason=str(error))
        say(kind="failed", reason=str(error), may_pass=False)
    except (OutputError, MemoryError) as error:
        refused("render.failed", reason=str(error))
        reason = str(error) or "there is not enough memory"
        say(kind="failed", reason=reason, may_pass=not isinstance(error, RefusedError))
    except KeyboardInterrupt:
        say(kind="failed", reason="interrupted", may_pass=False)
    except Exception as error:
        # A bug of ours or of a library: the batch goes on, and the reason is told.
        crash("render.crashed")
        reason = blame(error) or f"{type(error).__name__}: {error}"
        say(kind="failed", reason=reason, may_pass=True)
    else:
        loss = report.loss
        say(
            kind="done",
            frames=report.frames,
            seconds=report.seconds,
            notes=report.notes,
            lost=None if loss is None else {"frames": loss.frames, "seconds": loss.seconds},
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
