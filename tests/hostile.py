"""A corpus of clips that renderers stumble over, made by ffmpeg and by mutation."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import material

SIZE = "64x48"
RATE = 25
LENGTH = "0.6"


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def source(size: str = SIZE, rate: object = RATE, length: object = LENGTH) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={length}"]


TONE = ["-f", "lavfi", "-i", f"sine=duration={LENGTH}"]


def make_corpus(folder: Path) -> None:
    """Write all clips of the corpus into `folder`."""
    make_damaged(folder)
    make_odd(folder)
    make_named(folder)


def make_damaged(folder: Path) -> None:
    """Cut short at every quarter, flipped bits, nothing, something else."""
    ffmpeg(*source(), *TONE, "-g", 5, folder / "good.mp4")
    ffmpeg(*source(), *TONE, "-g", 5, folder / "good.mkv")
    for kind in ("mp4", "mkv"):
        data = (folder / f"good.{kind}").read_bytes()
        for quarter in (1, 2, 3):
            (folder / f"cut{quarter}.{kind}").write_bytes(data[: len(data) * quarter // 4])
        for seed in range(3):
            draw, flipped = random.Random(seed), bytearray(data)
            for _ in range(12):
                flipped[draw.randrange(len(data) // 8, len(data))] ^= 1 << draw.randrange(8)
            (folder / f"flipped{seed}.{kind}").write_bytes(flipped)
    (folder / "wrong-suffix.mp4").write_bytes((folder / "good.mkv").read_bytes())
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("This is no clip at all.\n" * 50)
    (folder / "noise.mp4").write_bytes(random.Random(9).randbytes(20_000))
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")


def make_odd(folder: Path) -> None:
    """Everything that is allowed and seldom seen."""
    ffmpeg(*TONE, folder / "sound-only.mp4")
    ffmpeg(*TONE, *source(length=0.04), "-map", 0, "-map", 1, "-c:v", "mjpeg", "-frames:v", 1,
           "-disposition:v", "attached_pic", folder / "cover.mp4")  # fmt: skip
    for name, size, more in (("a", SIZE, []), ("b", "96x64", []),
                             ("c", SIZE, ["-pix_fmt", "yuv444p"])):  # fmt: skip
        ffmpeg(*source(size), *(more or ["-pix_fmt", "yuv420p"]), "-c:v", "libx264",
               folder / f"{name}.h264")  # fmt: skip
    raw = {name: (folder / f"{name}.h264").read_bytes() for name in "abc"}
    for name, parts in (("size-changes", "ab"), ("format-changes", "ac")):
        (folder / f"{name}.mpg").write_bytes(b"".join(raw[part] for part in parts))
    (folder / "no-container.mpg").write_bytes(raw["a"])
    for name in "abc":
        (folder / f"{name}.h264").unlink()
    # AVI knows no presentation times, and its B-frames come in another order than they are shown.
    ffmpeg(*source(), "-bf", 2, "-c:v", "libx264", folder / "no-times.avi")
    ffmpeg(*source(), "-c:v", "mjpeg", "-bsf:v", "setts=ts='if(eq(N,7),PTS-200,PTS)'",
           "-f", "nut", folder / "times-go-back.mkv")  # fmt: skip
    ffmpeg(*source(), "-bf", 3, "-use_editlist", 0, folder / "negative-dts.mp4")
    ffmpeg("-ss", 0.13, "-i", folder / "good.mp4", "-c", "copy", folder / "edit-list.mp4")
    ffmpeg(*source(), "-vf", "format=rgb24,crop=1:1", "-c:v", "png", folder / "one-pixel.mkv")
    ffmpeg(*source("8192x64", length=0.12), folder / "very-wide.mp4")
    ffmpeg(*source(rate=1, length=3), folder / "slow.mp4")
    ffmpeg(*source(rate=240, length=0.1), folder / "fast.mp4")
    ffmpeg(*source(), "-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params",
           "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc",
           folder / "hdr.mkv")  # fmt: skip
    ffmpeg(*source(), "-vf", "interlace", "-flags", "+ildct+ilme", "-c:v", "mpeg2video",
           folder / "interlaced.mpg")  # fmt: skip
    material.turn(folder / "good.mp4", folder / "turned.mp4", 90)
    ffmpeg(*source(), "-vf", "format=rgba,colorchannelmixer=aa=0.5", "-c:v", "qtrle",
           folder / "alpha.mov")  # fmt: skip
    ffmpeg(*source(), folder / "palette.gif")
    ffmpeg(*source(), "-f", "apng", folder / "palette.mov")
    ffmpeg(*source(), "-c:v", "mjpeg", "-pix_fmt", "yuvj422p", folder / "motion-jpeg.avi")


def make_named(folder: Path) -> None:
    """Names, links, and what is no regular file."""
    data = (folder / "good.mp4").read_bytes()
    for name in ("two  words.mp4", "it's \"quoted\" $(x) `y`.mp4", "new\nline.mp4", "-dash.mp4",
                 "percent%05d.mp4", "ünï-ço∂é.mp4"):  # fmt: skip
        (folder / name).write_bytes(data)
    Path(os.fsdecode(os.fsencode(folder) + b"/not-utf8-\xff\xfe.mp4")).write_bytes(data)
    (folder / "loop-a.mp4").symlink_to(folder / "loop-b.mp4")
    (folder / "loop-b.mp4").symlink_to(folder / "loop-a.mp4")
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "folder.mp4").mkdir()
