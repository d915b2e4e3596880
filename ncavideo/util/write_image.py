"""Pictures into files: 8 or 16 bits a channel, or light itself as floats."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ncavideo.util.atomic_write import check_output, replacing
from ncavideo.util.errors import OutputError, UserError

DEPTHS = {".png": (8, 16), ".tif": (8, 16), ".tiff": (8, 16), ".jpg": (8,), ".jpeg": (8,),
          ".webp": (8,), ".exr": (32,)}  # fmt: skip
PNG_HEADER = 33  # bytes: the signature and the chunk IHDR, after which others may come
KEYWORD = "ncavideo"
# The transfer function of IEC 61966-2-1, sRGB.
LINEAR_BELOW, LINEAR_SLOPE, OFFSET, GAMMA = 0.04045, 12.92, 0.055, 2.4


def check_picture_output(output: Path, overwrite: bool, depth: int | None = None) -> None:
    """Raise `UserError` unless `output` can be written, and can hold `depth` bits a channel."""
    check_output(output, DEPTHS, overwrite)
    known = DEPTHS[output.suffix.lower()]
    if depth is not None and depth not in known:
        raise UserError(f"{output.suffix} holds {known[-1]} bits a channel, not {depth}: use .png")
    if output.suffix.lower() == ".exr":
        _openexr()


def save_picture(
    rgb: np.ndarray,
    output: Path,
    settings: dict[str, Any],
    depth: int | None = None,
    overwrite: bool = True,
) -> None:
    """Write `rgb` `[H, W, 3]` uint16, gamma-encoded, by the output's suffix.

    `depth`: bits a channel, 8 by default; `.exr` holds linear light as 32-bit floats. PNG holds
    `settings` as JSON in a text named `ncavideo`. The file appears under its name only when it is
    complete. Raises `OutputError` if it cannot be written, or is there without `overwrite`.
    """
    import cv2

    suffix = output.suffix.lower()
    try:
        with replacing(output, overwrite) as partial:
            if suffix == ".exr":
                _save_exr(linear(rgb), partial)
            elif depth == 16:
                _save_deep(suffix, rgb, partial)
            else:
                image = Image.fromarray(((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8))
                image.save(partial, quality=92)
            if suffix == ".png":
                _add_settings(partial, settings)
    except (OSError, cv2.error) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OutputError(f"cannot write {output}: {said}") from error


def save_png(image: Image.Image, output: Path, overwrite: bool = True) -> None:
    """Write a PNG that appears under its name only when it is complete; see `save_picture`."""
    try:
        with replacing(output, overwrite) as partial:
            image.save(partial, "PNG")
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error


def linear(rgb: np.ndarray) -> np.ndarray:
    """Return the light, 0..1 float32, of gamma-encoded uint16 (IEC 61966-2-1)."""
    encoded = rgb.astype(np.float32) / np.float32(65535)
    above = ((encoded + OFFSET) / (1 + OFFSET)) ** GAMMA
    return np.asarray(np.where(encoded <= LINEAR_BELOW, encoded / LINEAR_SLOPE, above), np.float32)


def _save_deep(suffix: str, rgb: np.ndarray, path: Path) -> None:
    """Write 16 bits a channel, which Pillow cannot.

    By way of memory: what OpenCV does with odd file names is its own affair.
    """
    import cv2

    good, data = cv2.imencode(suffix, np.ascontiguousarray(rgb[..., ::-1]))
    if not good:
        raise OSError(0, f"the encoder for {suffix} failed")
    path.write_bytes(data.tobytes())


def _save_exr(light: np.ndarray, path: Path) -> None:
    exr = _openexr()
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    exr.File(header, {"RGB": np.ascontiguousarray(light)}).write(str(path))


def _openexr() -> Any:
    try:
        import OpenEXR
    except ImportError as error:
        raise UserError("an .exr needs an extra: pip install 'ncavideo[exr]'") from error
    return OpenEXR


def _add_settings(path: Path, settings: dict[str, Any]) -> None:
    """Put a tEXt chunk behind a PNG's header (ISO/IEC 15948, 11.3.4.3)."""
    text = json.dumps(settings, default=str)  # JSON escapes all that is not ASCII
    body = b"tEXt" + KEYWORD.encode() + b"\0" + text.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = path.read_bytes()
    path.write_bytes(data[:PNG_HEADER] + chunk + data[PNG_HEADER:])
