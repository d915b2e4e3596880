"""Pictures over time from a file: one picture, numbered pictures, or a clip."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from PIL import Image

from ncavideo.util.errors import UserError
from ncavideo.util.pixels import luminance
from ncavideo.util.read_image import open_picture, picture_alpha, picture_numbers, picture_rgb
from ncavideo.video.orientation import orientation_of
from ncavideo.video.pyav import frame_rate, time_base
from ncavideo.video.reader import VideoReader, main_video, open_clip

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
NUMBER = re.compile(r"%0?(\d*)d")
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own leave their alpha out
RATE = 25.0  # numbered pictures a second
MOST_RATE = 1000.0
ROUNDING = 5e-4  # seconds: two time bases round one instant differently

Timed = Generator[tuple[float, np.ndarray, float], None, None]


@dataclass(frozen=True)
class Part:
    """What is taken of a picture: how it is got from Pillow's and from a decoded frame."""

    picture: Callable[[Image.Image, Path], np.ndarray]
    frame: Callable[[av.VideoFrame], np.ndarray] | None  # None: the luminance of upright RGB


def _alpha_of_picture(image: Image.Image, path: Path) -> np.ndarray:
    alpha = picture_alpha(image)
    if alpha is None:
        raise UserError(f"{path} has no alpha channel: leave out #alpha")
    return alpha


def _alpha_of_frame(frame: av.VideoFrame) -> np.ndarray:
    if frame.format.components[-1].bits > 8:
        return frame.to_ndarray(format="rgba64le")[..., 3].astype(np.float32) / 65535
    return frame.to_ndarray(format="rgba")[..., 3].astype(np.float32) / 255


LUMINANCE = Part(lambda image, path: luminance(picture_rgb(image)), None)
ALPHA = Part(_alpha_of_picture, _alpha_of_frame)
LABELS = Part(
    lambda image, path: picture_numbers(image),
    lambda frame: frame.to_ndarray(format="gray").astype(np.int64),
)


class Footage:
    """The pictures of a file at times that only go forward.

    `at` gives the picture shown at a time; a file that ends early holds its last picture or, with
    `loop`, begins again. Raises `UserError` if there is nothing to show.
    """

    def __init__(self, path: Path, part: Part, what: str, *, loop: bool, rate: float) -> None:
        self._path, self._part, self._what, self._loop, self._rate = path, part, what, loop, rate
        self.still = False
        self.ended = False  # whether a time beyond the last picture was asked for
        self._offset = 0.0
        if NUMBER.search(path.name):
            self._open: Callable[[], Timed] = self._numbered
        elif path.suffix.lower() in PICTURES:
            self.still = True
            self._open = self._single
        else:
            self._open = self._clip
        self._pictures = self._open()
        first = next(self._pictures, None)
        if first is None:
            raise UserError(f"the {what} {path} has no frame that can be decoded")
        self._now, self._next = first, next(self._pictures, None)

    def at(self, time: float) -> np.ndarray:
        """Return the picture `[H, W]` shown at `time` seconds after the first."""
        while True:
            while self._next is not None and self._next[0] + self._offset <= time + ROUNDING:
                self._now, self._next = self._next, next(self._pictures, None)
            end = self._now[0] + self._now[2] + self._offset
            if self._next is not None or self.still or time + ROUNDING < end:
                return self._now[1]
            self.ended = True
            if not self._loop:
                return self._now[1]
            self._offset = end
            self._pictures.close()
            self._pictures = self._open()
            self._now = next(self._pictures)
            self._next = next(self._pictures, None)

    @property
    def span(self) -> float:
        """For how many seconds the picture now shown is shown, 0 for one that always is."""
        return self._now[2]

    def close(self) -> None:
        """Close the file."""
        self._pictures.close()

    def _single(self) -> Timed:
        with open_picture(self._path, self._what) as image:
            yield 0.0, self._part.picture(image, self._path), 0.0

    def _numbered(self) -> Timed:
        folder = self._path.parent
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder} with the {self._what}'s pictures")
        pictures = numbered_pictures(self._path)
        if not pictures:
            raise UserError(f"there is no picture {self._path} for the {self._what}")
        for index, path in enumerate(pictures):
            with open_picture(path, self._what) as image:
                yield index / self._rate, self._part.picture(image, path), 1 / self._rate

    def _clip(self) -> Timed:
        if self._part.frame is None:
            with VideoReader(self._path) as reader:
                start: float | None = None
                usual = 1 / float(reader.info.average_rate or RATE)
                for shown in reader:
                    start = shown.time if start is None else start
                    length = float((shown.duration or 0) * reader.info.time_base) or usual
                    yield shown.time - start, luminance(shown.rgb), length
            return
        yield from self._planes(self._part.frame)

    def _planes(self, extract: Callable[[av.VideoFrame], np.ndarray]) -> Timed:
        with closing(open_clip(self._path)) as container:
            stream = main_video(container, self._path)
            decoder: Any = stream.codec_context  # a packet goes to either in the same way
            name = ALPHA_DECODERS.get(stream.codec_context.codec.canonical_name)
            if self._part is ALPHA and name is not None:
                decoder = av.CodecContext.create(name, "r")
            usual = 1 / float(frame_rate(stream) or RATE)
            ticks = time_base(stream)
            start: float | None = None
            try:
                for packet in container.demux(stream):
                    for frame in decoder.decode(packet):
                        if not isinstance(frame, av.VideoFrame):
                            continue
                        if self._part is ALPHA and len(frame.format.components) not in (2, 4):
                            raise UserError(f"{self._path} has no alpha channel: leave out #alpha")
                        base = time_base(frame) or ticks or 0
                        time = float((frame.pts or 0) * base)
                        start = time if start is None else start
                        length = float((frame.duration or 0) * base) or usual
                        yield time - start, orientation_of(frame).apply(extract(frame)), length
            except (av.error.FFmpegError, OSError):
                return  # what can be decoded of a damaged file has been shown


def numbered_pictures(pattern: Path) -> list[Path]:
    """Return the files that a name such as `mask_%05d.png` stands for, in their numbers' order."""
    name = NUMBER.sub(
        lambda found: "(" + r"\d" + (f"{{{int(found[1])},}}" if found[1] else "+") + ")",
        re.escape(pattern.name).replace(r"\%", "%"),
    )
    if not pattern.parent.is_dir():
        return []
    found = ((re.fullmatch(name, path.name), path) for path in pattern.parent.iterdir())
    return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]


def parse_path(text: str, what: str) -> tuple[Path, bool, float, bool]:
    """Parse `PATH[@RATE][?loop|?hold][#alpha]` as path, loop, rate, alpha. Raises `UserError`."""
    path, options = split_path(text)
    number = re.match(r"@([\d.]+)", options)
    rate = float(number[1]) if number else RATE
    if not 0 < rate <= MOST_RATE:
        raise UserError(f"{rate:g} is no rate for the pictures of {what}: as {what}:{path}@25")
    if not path:
        raise UserError(f"the {what} control needs a file: --control {what}:PATH")
    return Path(path), "?loop" in options, rate, "#alpha" in options


def split_path(text: str) -> tuple[str, str]:
    """Return the path of `PATH[@RATE][?loop|?hold][#alpha]`, and what follows it."""
    match = re.fullmatch(r"(.*?)((?:\?loop|\?hold|#alpha)*)", text, re.S)
    assert match is not None
    path, options = match[1], match[2]
    rated = re.fullmatch(r"(.*%0?\d*d.*)(@\d+(?:\.\d+)?)", path, re.S)
    return (rated[1], rated[2] + options) if rated else (path, options)
