"""Make the gallery's pictures again, with `python examples/gallery/make.py`.

Each is one `ncavideo still` command, printed before it runs; the pictures here are smaller.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
SIZE = (1600, 1000)
PICTURES = {
    "magma": "--rules magma --fractal 3 --scale 3 --level-steps 64",
    "stone": "--rules stone --fractal 3 --scale 3 --level-steps 96",
    "hills": "--rules moss --fractal 2 --scale 4 --level-steps 96",
    "burning": "--rules fire=0.45,moss=0.55 --fractal 2 --scale 4 --level-steps 64",
    "druse": "--rules nebula=0.5,crystal=0.5 --fractal 3 --scale 3 --level-steps 96",
    "stained-glass": "--rules crystal,circuits --picture {photo} --shade 0.5 --cell 3",
}


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as name:
        photo = Path(name) / "photo.png"
        # The clip's rabbit, a frame of Big Buck Bunny.
        import av

        with av.open(str(HERE.parent / "clip.mp4")) as clip:
            frame = next(f for i, f in enumerate(clip.decode(video=0)) if i == 40)
            frame.to_image().save(photo)
        for picture, options in PICTURES.items():
            words = shlex.split(options.format(photo=photo))
            if "--picture" not in words:
                words += ["--size", f"{SIZE[0]}x{SIZE[1]}"]
            out = Path(name) / f"{picture}.png"
            print("ncavideo still", shlex.join(words), "-o", out.name, flush=True)
            command = [sys.executable, "-m", "ncavideo", "still", *words, "-o", str(out)]
            subprocess.run([*command, "--quiet"], check=True)
            with Image.open(out) as image:
                half = (image.width * 1000 // image.width, image.height * 1000 // image.width)
                small = image.convert("RGB").resize(half, Image.Resampling.LANCZOS)
                small.save(HERE / f"{picture}.jpg", quality=80, optimize=True)


if __name__ == "__main__":
    main()
