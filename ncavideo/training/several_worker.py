"""One of the processes that share each batch: `python -m ncavideo.training.several_worker`.

The job: `rank`, `size`, `device`, `threads` (of torch), `meeting` (a file to meet by), `options`
(of `run.train`, pickled). The first of them trains; stopped by SIGTERM it saves its checkpoint. The
others have nothing to save, and end at once.
"""

from __future__ import annotations

import dataclasses
import pickle
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.events import crash, refused, tell
from ncavideo.util.worker_process import read_job, say

PATIENCE = 60.0  # seconds in which the run is saved after the parent is gone


def main() -> int:
    """Take part in the training; the last line says how it ended, for the first of them."""
    job = read_job(PATIENCE)
    if job["rank"]:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    tell(partial(say, kind="event"))
    try:
        _take_part(job)
    except KeyboardInterrupt as interrupt:
        say(kind="stopped", done=getattr(interrupt, "iteration", None))
    except (UserError, OutputError, MemoryError) as error:
        reason = str(error) or "there is not enough memory"
        refused("train.failed", reason=reason)
        say(kind="failed", reason=reason, usage=isinstance(error, UserError))
    except Exception:
        crash("train.crashed")  # the parent's log gets it; here nobody reads the traceback
        raise
    return 0


def _take_part(job: dict[str, Any]) -> None:
    import torch

    from ncavideo.training.process_group import PeerLostError, ProcessGroup
    from ncavideo.training.progress import Progress
    from ncavideo.training.run import follow, train

    torch.set_num_threads(job["threads"])
    rank, device = job["rank"], torch.device(job["device"])
    options: dict[str, Any] = pickle.loads(bytes.fromhex(job["options"]))

    def report(news: Progress) -> None:
        say(kind="progress", **dataclasses.asdict(news))

    try:
        peers = ProcessGroup.join(rank, job["size"], Path(job["meeting"]), device)
        if rank:
            follow(options["recipe"], options["folder"], device, peers)
        else:
            train(
                **options, device=job["device"], peers=peers, report=report,
                note=lambda text: say(kind="note", text=text),
            )  # fmt: skip
            say(kind="done", output=str(options["output"]))
    except PeerLostError:
        say(kind="failed", reason="a process ended", of_another=True)


if __name__ == "__main__":
    sys.exit(main())
