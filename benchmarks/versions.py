"""Tested versions of the dependencies: the data file in the package, and its table.

    python benchmarks/versions.py                  # write docs/versions.md from the data file
    python benchmarks/versions.py --write oldest   # first record what is installed here, as
    python benchmarks/versions.py --write newest   # the oldest or as the newest that works

Record an environment only after it has done its work: `.ci/oldest` does so for the oldest, the
whole test run for the newest. Packages that are not installed keep their versions.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from pathlib import Path

from ncavideo.util import tested

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "versions.md"
ALWAYS = "everything"
TEXT = """# Versions

What ncavideo stands on, and which versions of it were tried. The oldest together, on the oldest
Python, render both example clips (`.ci/oldest`); the newest pass the tests. pip installs nothing
older than the oldest; what is newer than the newest may well work. `ncavideo doctor` names what is
installed outside of these ranges, and so does an error that another version may be the cause of.

| package | needed for | oldest tried | newest tried |
| --- | --- | --- | --- |
"""


DIFFERENCES = """
## PyAV 18 (FFmpeg 8) beside PyAV 19 (FFmpeg 9)

`tests/clip_facts.py` reads the 87 clips of the tests with both, copies each to MP4 and Matroska, and
compares frames, times, rotation, sound packets, tags and chapters: all are equal, times to 1 ms.
`ncavideo/video/pyav.py` is where the two differ in code. What differs in files:

| what | PyAV 18.1, FFmpeg 8.1 | PyAV 19.0, FFmpeg 9.0 | a render |
| --- | --- | --- | --- |
| Matroska, sound that begins before 0 (AAC's first packet) | picture and sound move by it, 23 ms | nothing moves | nothing moves, with both |
| MP4, where a clip begins | counted in milliseconds | counted in its own clock | within 1 ms |
| tags that are not UTF-8 | an argument of `av.open` | kept as surrogates | kept byte for byte, with both |
| SVT-AV1 4.1 and 4.2 | | other bits, other pictures | `--codec av1` differs |
| x265 4.2 and 4.3 | | the same pictures, another version string | `--codec h265` files differ |
| the last frame of AAC in MP4 | whole | cut to the track's length | the `audio` control may differ in its last level |

Found by comparing both on Python 3.13 on 2026-11-28. The same with both, and handled: x265 gives
clips of one or two frames decoding times out of uninitialised memory (x265 issues 781 and 934), and
FFmpeg's MP4 demuxer sums up a variable rate with B-frames in decoding order, so that its durations
end before the last frame (`findings/mp4-ends-before-its-last-frame.sh`).
"""


def dependencies() -> dict[str, tuple[str, list[str]]]:
    """Return each dependency's specifier in pyproject.toml, and what it is needed for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, tuple[str, list[str]]] = {}
    groups = {ALWAYS: project["dependencies"], **project["optional-dependencies"]}
    for group, requirements in groups.items():
        for requirement in requirements:
            name, extras, specifier = split(requirement)
            if not extras:
                found.setdefault(name, (specifier, []))[1].append(group)
    return found


def split(requirement: str) -> tuple[str, str, str]:
    """Split `name[extras]>=1` into its three parts; the name as pip compares names."""
    match = re.fullmatch(r"([\w.-]+)(\[[\w,]+\])?([<>=!~,\d.\s]*)", requirement)
    if match is None:
        raise ValueError(f"not understood: {requirement}")
    return re.sub(r"[-_.]+", "-", match[1]).lower(), match[2] or "", match[3]


def record(end: str) -> None:
    """Write what is installed here into the data file, as one end of the ranges."""
    data = json.loads(tested.DATA.read_text("utf-8")) if tested.DATA.exists() else {}
    known = {}
    for package in ("python", *sorted(dependencies())):
        version = tested.installed(package)
        if version:  # `+cpu` says how it was built
            version = version.partition("+")[0]
        if version and package == "python":
            version = ".".join(version.split(".")[:2])
        ends = data.get(package, {"oldest": version, "newest": version})
        if version:
            known[package] = {**ends, end: version}
        elif package in data:
            known[package] = ends
    tested.DATA.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


def page() -> str:
    """Return docs/versions.md."""
    needed = {"python": ("", [ALWAYS]), **dependencies()}
    lines = []
    for package, (_, groups) in needed.items():
        ends = tested.tested()[package]
        uses = ", ".join(group if group == ALWAYS else f"`[{group}]`" for group in groups)
        lines.append(f"| {package} | {uses} | {ends.oldest} | {ends.newest} |\n")
    return TEXT + "".join(lines) + DIFFERENCES


def main() -> None:
    """Record what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", choices=("oldest", "newest"))
    asked = parser.parse_args()
    if asked.write:
        record(asked.write)
        tested.tested.cache_clear()
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
