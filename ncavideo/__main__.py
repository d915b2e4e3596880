"""The command line, as `ncavideo` and as `python -m ncavideo`."""

from __future__ import annotations

import os
import sys


def run() -> None:
    """Run the command line; Ctrl-C while it is still being imported is told in one line."""
    _open_streams()
    try:
        from ncavideo.cli.main import main

        main(prog_name="ncavideo")
    except KeyboardInterrupt:
        sys.stderr.write("ncavideo: interrupted\n")
        sys.exit(130)


def _open_streams() -> None:
    """Have something to write to where a stream was closed, as cron and `2>&-` do.

    The next file to be opened would get the number of that stream, and what is said with it.
    """
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            mode = "r" if number == 0 else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


if __name__ == "__main__":
    run()
