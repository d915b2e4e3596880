"""What the reader finds in clips and what the writer makes of them, to compare PyAV's releases.

    python tests/clip_facts.py make FOLDER         write the clips of all tests into FOLDER
    python tests/clip_facts.py read FOLDER > JSON  read each, copy it to MP4 and MKV, read those
    python tests/clip_facts.py compare JSON JSON   exit 1 if anything differs, and say what

Equal must be: frames, their times, sizes, orientation and pixels as read; in the copies times of
frames, sound packets bit for bit and their times, tags, chapters and notes. Encoded bytes need not,
and times may differ by a millisecond: FFmpeg 8 counts where an MP4 begins in these, FFmpeg 9 finer.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from hostile import make_corpus
from material import ODD, ffmpeg

from ncavideo.util.errors import OutputError, UserError
from ncavideo.video.fields import KEEP
from ncavideo.video.open_writer import open_writer
from ncavideo.video.pyav import open_input
from ncavideo.video.reader import VideoReader

CONTAINERS = (".mp4", ".mkv")
MUXERS_OWN = ("encoder", "duration")  # tags that no source has
# The picture of this damaged clip begins after its sound's preparation at -0.023 s, both before 0:
# FFmpeg 8 moves both by 0.023 s.
KNOWN = ("'hostile/flipped2.mp4': .mkv: streams",)
ROUNDING = 1e-3  # seconds; times are kept to a microsecond, so differences are rounded to it


def make(folder: Path) -> None:
    """Write the clips of tests/hostile.py, tests/material.py and tests/cases.sh."""
    for name in ("hostile", "faithful", "cases"):
        (folder / name).mkdir(parents=True)
    make_corpus(folder / "hostile")
    for name, arguments in ODD.values():
        ffmpeg(*arguments, folder / "faithful" / name)
    script = Path(__file__).with_name("cases.sh").absolute()
    # The script's python3 is this one, which has Pillow, and not the system's.
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    command = ["bash", str(script)]
    subprocess.run(command, cwd=folder / "cases", check=True, capture_output=True, env=environment)
    if not (folder / "cases" / "photo.jpg").exists():
        raise RuntimeError("photo.jpg was not made: this Python has no Pillow")


def read(folder: Path) -> dict[str, Any]:
    """Return the facts of every clip in a folder, by its path there."""
    clips = sorted(path for path in folder.rglob("*") if not path.is_dir())
    with tempfile.TemporaryDirectory() as outputs:
        return {ascii(str(clip.relative_to(folder))): _clip(clip, Path(outputs)) for clip in clips}


# Fields are left as they are: FFmpeg 9's bwdif makes rows next to the upper and the lower edge of
# the first frame otherwise.
def _clip(clip: Path, outputs: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    try:
        with VideoReader(clip, fields=KEEP) as reader:
            info, pixels = reader.info, hashlib.sha256()
            times = []
            for frame in reader:
                times.append((frame.pts, frame.duration))
                pixels.update(frame.rgb.tobytes())
            facts |= {
                "size": (info.width, info.height), "aspect": info.sample_aspect_ratio,
                "time base": info.time_base, "rate": info.average_rate,
                "orientation": vars(info.orientation), "bits": info.bit_depth,
                "colour": info.colour,
                "times": times, "pixels": pixels.hexdigest(), "loss": reader.loss,
            }  # fmt: skip
    except (UserError, OutputError) as error:
        return {"error": str(error).replace(str(clip), "CLIP")}
    for suffix in CONTAINERS:
        facts[suffix] = _copy(clip, outputs / f"out{suffix}")
    return facts


def _copy(clip: Path, output: Path) -> dict[str, Any]:
    output.unlink(missing_ok=True)
    try:
        with VideoReader(clip, fields=KEEP) as reader, open_writer(output, reader) as writer:
            for frame in reader:
                writer.write(frame.rgb, frame.pts, frame.duration)
            writer.close()
    except (UserError, OutputError) as error:
        return {"error": str(error).replace(str(output), "OUT").replace(str(clip), "CLIP")}
    with open_input(str(output)) as container:
        streams: list[list[Any]] = [[] for _ in container.streams]
        for packet in container.demux():
            if packet.size:
                time = float(packet.pts * Fraction(str(packet.time_base)))
                copied = packet.stream.type != "video"
                content = hashlib.sha256(bytes(packet)).hexdigest()[:12] if copied else ""
                streams[packet.stream.index].append((round(time, 6), content))
        return {
            "notes": writer.notes, "streams": [sorted(s) for s in streams],
            "tags": [{k: v for k, v in tags.items() if k.lower() not in MUXERS_OWN} for tags in
                     (container.metadata, *(s.metadata for s in container.streams))],
            "chapters": [(c["start"], c["end"], c["metadata"]) for c in container.chapters()],
        }  # fmt: skip


def compare(first: Path, second: Path) -> list[str]:
    """Return a line for every fact that differs between two files."""
    a, b = (json.loads(path.read_text()) for path in (first, second))
    lines = []
    for clip in sorted(a["clips"] | b["clips"]):
        lines += _differences(clip, a["clips"].get(clip), b["clips"].get(clip))
    return lines


def _differences(where: str, a: Any, b: Any) -> list[str]:
    if isinstance(a, float) and isinstance(b, float) and round(abs(a - b), 6) <= ROUNDING:
        return []
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = [(f"{where}[{i}]", *pair) for i, pair in enumerate(zip(a, b, strict=True))]
        return [line for pair in pairs for line in _differences(*pair)][:3]
    if isinstance(a, dict) and isinstance(b, dict):
        pairs = [(f"{where}: {key}", a.get(key), b.get(key)) for key in a | b]
        return [line for pair in pairs for line in _differences(*pair)]
    return [] if a == b else [f"{where}: {str(a)[:200]} != {str(b)[:200]}"]


def main() -> None:
    """Do what the command line says."""
    what, *paths = sys.argv[1:]
    if what == "make":
        make(Path(paths[0]))
    elif what == "read":
        json.dump({"av": av.__version__, "clips": read(Path(paths[0]))}, sys.stdout, default=str)
    else:
        lines = compare(Path(paths[0]), Path(paths[1]))
        lines = [line for line in lines if not line.startswith(KNOWN)]
        print(*lines, sep="\n")
        clips = len(json.loads(Path(paths[0]).read_text())["clips"])
        print(f"{clips} clips, {len(lines)} facts differ")
        sys.exit(bool(lines) or not clips)


if __name__ == "__main__":
    main()
