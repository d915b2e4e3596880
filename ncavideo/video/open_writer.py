"""The writer for an output's name: a clip, or numbered pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ncavideo.util.errors import UserError
from ncavideo.video.clip_writer import ClipWriter
from ncavideo.video.image_sequence import PictureWriter
from ncavideo.video.numbered import is_same
from ncavideo.video.pipe_out import PipeWriter
from ncavideo.video.pipes import is_pipe
from ncavideo.video.reader import VideoReader
from ncavideo.video.segments import SegmentStore
from ncavideo.video.writer import Writer


def open_writer(
    output: Path,
    source: VideoReader,
    *,
    codec: str | None = None,
    crf: float | None = None,
    pix_fmt: str | None = None,
    overwrite: bool = False,
    lead: float = 0.0,
    alpha: bool = False,
    strict: bool = False,
    open_checkpoint: Callable[[], SegmentStore] | None = None,
    format: str | None = None,
) -> Writer:
    """Return the writer for an output's name: a clip, or numbered pictures (`frame_%05d.png`).

    The name `-` stands for standard output, on which `format` is the container.

    `lead`: seconds that the output leaves out at the source's beginning, below 0 for what it adds;
    `alpha`: frames have four channels, the fourth straight alpha; `strict`: a stream of the source
    that the output cannot hold is an error, not a note; `open_checkpoint` gives the folder from
    which the render can resume, where the kind of output allows it.
    Raises `UserError` when the name, its folder, the encoder or, with `strict`, a stream cannot be
    used.
    """
    if is_pipe(output):
        return PipeWriter(
            source,
            format=format,
            codec=codec,
            crf=crf,
            pix_fmt=pix_fmt,
            lead=lead,
            alpha=alpha,
            strict=strict,
        )
    if format is not None:
        raise UserError("--format is for standard output, -o -: a file's suffix says what it is")
    folder = output.absolute().parent
    if output.is_dir():
        raise UserError(f"{output} is a folder: name a file in it")
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} to write {output.name} in")
    if not os.access(folder, os.W_OK):
        raise UserError(f"the folder {folder} cannot be written to")
    if is_same(output, source.path):
        raise UserError(f"{output} is the input: name another output")
    if output.suffix.lower() == ".png":
        if codec or crf is not None or pix_fmt:
            raise UserError("numbered pictures take no --codec, --crf or --pix-fmt")
        return PictureWriter(output, overwrite)
    if os.path.lexists(output) and not overwrite:
        raise UserError(f"{output} exists: name another output or give --overwrite")
    return ClipWriter(
        output,
        source,
        codec=codec,
        crf=crf,
        pix_fmt=pix_fmt,
        overwrite=overwrite,
        lead=lead,
        alpha=alpha,
        strict=strict,
        open_checkpoint=open_checkpoint,
    )
