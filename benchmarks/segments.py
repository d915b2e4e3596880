"""The cost of checkpoints: renders that write segments, beside renders that do not.

    python benchmarks/segments.py [--clip CLIP] [--rounds 5]

The same render by turns, with segments and states in a checkpoint folder that are joined at the
end, and with packets going straight into the output. Medians; *ratio*: with over without.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import results
from clips import bikes

from ncavideo.rendering import render
from ncavideo.rendering.options import RenderOptions


def timed(clip: Path, folder: Path, work: bool) -> tuple[float, float]:
    """Render once; return seconds of time and of all processors."""
    opened: Callable[..., Any] = render.open_writer
    if not work:
        render.open_writer = lambda *a, **k: opened(*a, **k | {"open_checkpoint": None})
    try:
        begin, busy = time.perf_counter(), time.process_time()
        options = RenderOptions(("fire", "moss"), overwrite=True)
        render.render(clip, folder / "out.mp4", options)
        return time.perf_counter() - begin, time.process_time() - busy
    finally:
        render.open_writer = opened


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    results.add_record(parser)
    arguments = parser.parse_args()
    clip = arguments.clip or bikes()
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        timed(clip, Path(folder), True)
        for _ in range(arguments.rounds):
            for work in (True, False):
                found[work].append(timed(clip, Path(folder), work))
    columns = {"render": "", "seconds": ".2f", "core-seconds": ".2f"}
    table = results.Table("cost", columns)
    medians = {}
    for work, name in ((False, "straight into the file"), (True, "in segments")):
        medians[work] = [statistics.median(v) for v in zip(*found[work], strict=True)]
        table.add(name, *medians[work])
    ratios = [a / b for a, b in zip(medians[True], medians[False], strict=True)]
    table.add("ratio", *ratios)
    results.record(arguments, "segments", table)


if __name__ == "__main__":
    main()
