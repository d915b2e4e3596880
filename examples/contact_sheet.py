"""Draw eight moments of a clip above what a render made of them.

python examples/contact_sheet.py in.mp4 in.fire-moss.mp4 sheet.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

MOMENTS, COLUMNS, WIDTH, GAP = 8, 4, 400, 4


def moments(clip: Path) -> list[Image.Image]:
    """Return frames spread evenly over a clip, scaled to one width."""
    with av.open(str(clip)) as container:
        count = sum(1 for _ in container.decode(video=0))
    wanted = set(np.linspace(count // 20, count - 1 - count // 20, MOMENTS).round().astype(int))
    found = []
    with av.open(str(clip)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                image = frame.to_image()
                height = round(WIDTH * image.height / image.width)
                found.append(image.resize((WIDTH, height), Image.Resampling.LANCZOS))
    return found


def main() -> None:
    """Draw the sheet."""
    source, render, output = (Path(argument) for argument in sys.argv[1:4])
    pairs = list(zip(moments(source), moments(render), strict=True))
    height = pairs[0][0].height
    rows = MOMENTS // COLUMNS
    size = (COLUMNS * (WIDTH + GAP) - GAP, rows * 2 * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, (16, 16, 18))
    for index, pair in enumerate(pairs):
        row, column = divmod(index, COLUMNS)
        for below, image in enumerate(pair):
            place = (column * (WIDTH + GAP), (row + rows * below) * (height + GAP))
            sheet.paste(image, place)
    sheet.save(output, quality=85)


if __name__ == "__main__":
    main()
