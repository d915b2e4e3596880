"""x264's settings on frames as they are rendered: processor time, bytes, loss.

    python benchmarks/encoder.py [--turns 3] [--record]

Renders fire and moss on the example clip, as it is and enlarged, and on `bikes.mp4`, without loss;
then encodes those frames with each of the settings in turns. *core ms* and *bytes*: a frame's, the
time of all threads as a median; *PSNR*: of the luma planes, in dB.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import clips
import numpy as np
import results
from stages import enlarged

import ncavideo
from ncavideo.video.codecs import CODECS, LARGE

H264 = CODECS["h264"]
SETTINGS = {
    "subme=4": (17.7, "mbtree=0:ref=1:subme=4"),
    "subme=2, few partitions": (16.9, "mbtree=0:ref=1:subme=2:trellis=0:partitions=i8x8"),
    "the default up to 1440 rows": (H264.crf, H264.options_for(LARGE)["x264-params"]),
    "the default beyond": (H264.crf, H264.options_for(LARGE + 1)["x264-params"]),
}
RATE = 24


def rendered(clip: Path, folder: Path, count: int) -> list[av.VideoFrame]:
    """Return the first frames of a render of a clip, yuv420p."""
    out = folder / f"{clip.stem}.mkv"
    ncavideo.render(
        clip, rules=("fire", "moss"), out=out, codec="ffv1", pix_fmt="yuv420p",
        duration=count / RATE, overwrite=True,
    )  # fmt: skip
    with av.open(str(out)) as container:
        return list(islice(container.decode(video=0), count))


def encoded(frames: list[av.VideoFrame], crf: float, params: str) -> tuple[bytes, float]:
    """Return an MP4 of the frames, and the processor seconds that it took."""
    file, begun = io.BytesIO(), time.process_time()
    with av.open(file, "w", format="mp4") as output:
        options = {"crf": f"{crf:g}", "x264-params": params}
        stream = output.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        stream.codec_context.thread_count = H264.threads(stream.height)
        stream.codec_context.thread_type = "FRAME"
        for index, frame in enumerate(frames):
            frame.pts, frame.dts, frame.time_base = index, None, Fraction(1, RATE)
            frame.pict_type = 0
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue(), time.process_time() - begun


def luma(frame: av.VideoFrame) -> np.ndarray:
    """Return a frame's luma plane `[H, W]`, uint8."""
    return np.asarray(frame.to_ndarray()[: frame.height])


def psnr(frames: list[av.VideoFrame], file: bytes) -> float:
    """Return what is left of the frames in a file, as peak signal-to-noise ratio in dB."""
    with av.open(io.BytesIO(file)) as container:
        errors = [
            np.square(luma(frame).astype(np.float32) - luma(seen)).mean()
            for frame, seen in zip(frames, container.decode(video=0), strict=True)
        ]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    results.add_record(parser)
    asked = parser.parse_args()
    columns = {"frames": "", "settings": "", "core ms": ".1f", "bytes": ",.0f", "PSNR": ".2f"}
    table = results.Table("x264", columns)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [
            (clips.bikes(), 48),
            (enlarged((1280, 720), 2.0, folder), 48),
            (enlarged((1920, 1080), 1.0, folder), 24),
            (enlarged((3840, 2160), 1.0, folder), 16),
        ]
        for clip, count in sources:
            frames = rendered(clip, folder, count)
            made: dict[str, bytes] = {}
            seconds: dict[str, list[float]] = {settings: [] for settings in SETTINGS}
            for _ in range(asked.turns):
                for settings, (crf, params) in SETTINGS.items():
                    made[settings], spent = encoded(frames, crf or 0, params)
                    seconds[settings].append(spent)
            for settings, file in made.items():
                took = 1e3 * statistics.median(seconds[settings]) / len(frames)
                table.add(clip.stem, settings, took, len(file) / len(frames), psnr(frames, file))
    results.record(asked, "encoder", table)


if __name__ == "__main__":
    main()
