"""One still in a process of its own: `python -m ncavideo.still.worker`, a job on its input.

The job: `options`, as of `StillOptions`, and `output`, its bytes in hexadecimal. The messages are
`progress` (`done` of `total`, as `still` tells them) and, last, `done`, `stopped` or `failed` with
a `reason`. Stopped by SIGTERM it leaves no file.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.worker_process import read_job, say

EVERY = 0.2  # seconds between two lines of progress


def main() -> int:
    """Make the picture; the last line says how it ended."""
    job = read_job()
    spoken = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal spoken
        if time.monotonic() - spoken >= EVERY:
            spoken = time.monotonic()
            say(kind="progress", done=done, total=total)

    try:
        from ncavideo.still.options import StillOptions
        from ncavideo.still.still import still

        options = StillOptions(**{**job["options"], "size": tuple(job["options"]["size"])})
        still(Path(os.fsdecode(bytes.fromhex(job["output"]))), options, news=progress)
    except KeyboardInterrupt:
        say(kind="stopped")
    except (UserError, OutputError, OSError, MemoryError) as error:
        say(kind="failed", reason=str(error) or "there is not enough memory")
    else:
        say(kind="done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
