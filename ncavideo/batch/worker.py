"""One clip in a process of its own: `python -m ncavideo.batch.worker`, a job on its input.

A broken clip that crashes a decoder takes only this process with it.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from ncavideo.batch.urls import local
from ncavideo.util.errors import (
    BusyError,
    OutputError,
    RefusedError,
    UnreachableError,
    UserError,
)
from ncavideo.util.tested import blame
from ncavideo.util.worker_process import read_job, say

if TYPE_CHECKING:
    from ncavideo.rendering.render import RenderProgress

EVERY = 0.2  # seconds between two lines of progress


def main() -> int:
    """Render the job; the last line says how it ended."""
    job = read_job()
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
        from ncavideo.rendering.local_inputs import local_inputs
        from ncavideo.rendering.options import RenderOptions
        from ncavideo.rendering.render import render

        options: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in job["options"].items()
        }
        names = (os.fsdecode(bytes.fromhex(job[k])) for k in ("clip", "output"))
        with (
            local(*names) as (clip, output),
            local_inputs(str(clip), RenderOptions(**options)) as (clip, asked),
        ):
            report = render(clip, output, asked, progress)
    except (BusyError, UnreachableError) as error:
        # An earlier worker, which was ended, has not left yet; or a server has no time.
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
        # A bug in ncavideo or in a library: the batch continues, and reports the reason.
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
