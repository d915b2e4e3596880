"""Render the clips of tests/situations.py into every container, and compare with ffprobe.

    python tests/release/every_container.py [NAME ...]

Takes a minute; exit code 1 if anything differs. The test suite renders each into one container.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from situations import CONTAINERS, SITUATIONS, differences

from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import render


def main() -> None:
    """Do so."""
    options = RenderOptions(("fire", "moss"), steps=1, warmup=1, cell=8)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for situation in SITUATIONS:
            if sys.argv[1:] and situation.name not in sys.argv[1:]:
                continue
            clip = Path(name) / situation.name
            situation.make(clip)
            for suffix in CONTAINERS:
                out = clip.with_name(f"{clip.name}.out{suffix}")
                report = render(clip, out, options)
                found = differences(clip, out, situation.expected, report.notes)
                if report.loss is not None:
                    found.append(f"not all was decoded: {report.loss}")
                wrong += len(found)
                for line in found:
                    print(f"{situation.name} as {suffix}: {line}")
    print(f"{wrong} differences")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
