"""Peak memory of whole renders beside an earlier commit.

    python benchmarks/memory.py [--against COMMIT] [--record]

Unpacks the earlier commit from git into a temporary folder and has both render the first second of
the example clip, enlarged to 1280x720, 1920x1080 and 3840x2160, with fire and moss, each in a
process of its own. Linux only.

*MB*: the most that the process had in memory. It is the kernel's own count of the process as it is
after `exec`: `getrusage` begins with what the parent had.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import results
from stage_worker import RULES
from stages import BEFORE, ROOT, SIZES, enlarged, in_tree, unpack

# Of the Python interface, which both versions have.
RENDER = """
import sys, ncavideo
_, clip, output, *rules = sys.argv
ncavideo.render(clip, rules=rules, out=output, overwrite=True)
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def peak(tree: Path, clip: Path, folder: Path) -> float:
    """Return the most MB of memory that a render has."""
    words = ("-c", RENDER, str(clip), str(folder / "out.mp4"), *RULES)
    return int(in_tree(tree, *words).splitlines()[-1]) * 1024 / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--against", default=BEFORE, help="the earlier commit")
    parser.add_argument("--seconds", type=float, default=1.0, help="of the clip")
    results.add_record(parser)
    asked = parser.parse_args()
    columns = {"frame": "", "before, MB": ".0f", "now, MB": ".0f", "ratio": ".2f"}
    table = results.Table("renders", columns)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trees = unpack(asked.against, folder / "before"), ROOT
        for label, size in SIZES.items():
            clip = enlarged(size, asked.seconds, folder)
            old, new = (peak(tree, clip, folder) for tree in trees)
            table.add(label, old, new, new / old)
    results.record(asked, "memory", table)


if __name__ == "__main__":
    main()
