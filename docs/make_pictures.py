"""Make the pictures of the docs' pages from the example clip: python docs/make_pictures.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ncavideo.control.levels import clip_range
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.preview import preview_frame
from ncavideo.util.pixels import luminance
from ncavideo.video.survey import survey

HERE = Path(__file__).parent
CLIP = HERE.parent / "examples" / "clip.mp4"
TIME = 1.6  # seconds, where something moves
TWO = ("fire", "moss")
# Each page's picture: rules, controls, other options, and the fields shown between source and
# result.
PAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, object], tuple[str, ...]]] = {
    "luminance": (TWO, (), {}, ("expression",)),
    "bands": (("moss", "water", "fire"),
              ("moss=luminance:dark", "fire=luminance:bright"), {}, ("expression",)),
    "colour": (("magma", "water"), ("water=hue:190-280",), {}, ("water",)),
    "edges": (("fire",), ("fire=edges:2,blur=1",), {"blend": "screen"}, ("fire",)),
    "motion": (("fire",), ("fire=motion:0.4,blur=2",), {}, ("fire",)),
    "background": (("crystal",), ("crystal=background:4",), {}, ("crystal",)),
    "masks": (("magma", "water"), ("mask:{mask}",), {}, ("magma",)),
    "labels": (("fire", "moss", "water"), ("labels:{labels}",), {}, ("expression",)),
    "segmentation": (("bark", "sand", "lichen"), ("segment:kmeans",), {}, ("expression",)),
    "audio": (("nebula",), ("nebula=audio:bass",), {"keep": "none"}, ("nebula",)),
    "light": (("crystal", "circuits"), (), {"light_control": "edges:3,blur=3"}, ("light",)),
    "opacity": (("aurora", "nebula"), (), {"opacity_control": "luminance:dark,blur=3"},
                ("expression",)),
}  # fmt: skip


def painted_mask(path: Path, width: int = 320, height: int = 180) -> None:
    """Draw what a user might: a soft beam."""
    rows, columns = np.mgrid[:height, :width]
    beam = np.clip(1.5 - np.abs(columns - 60 - rows * 0.9) / 45, 0, 1)
    Image.fromarray((beam * 255).astype(np.uint8)).save(path)


def label_map(path: Path, width: int = 320, height: int = 180) -> None:
    """Draw three lands, numbered 1 to 3."""
    picture = Image.new("L", (width, height), 1)
    draw = ImageDraw.Draw(picture)
    draw.polygon([(0, 120), (width, 70), (width, height), (0, height)], 2)
    draw.ellipse((90, 30, 230, 170), 3)
    picture.save(path)


def main() -> None:
    """Write one picture a page: source, what drives it, result."""
    (HERE / "pictures").mkdir(exist_ok=True)
    levels = clip_range([luminance(rgb) for rgb in survey(CLIP)])
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.png" for name in ("mask", "labels")}
        painted_mask(files["mask"])
        label_map(files["labels"])
        for page, (rules, controls, others, fields) in PAGES.items():
            texts = tuple(text.format(**files) for text in controls)
            options = RenderOptions(rules, control=texts, **others)  # type: ignore[arg-type]
            moment, _ = preview_frame(CLIP, find_ruleset(rules), levels, options, TIME)
            tiles = [moment.pictures[name] for name in ("source", *fields, "result")]
            picture = Image.fromarray(np.concatenate(tiles, 1))
            picture.save(HERE / "pictures" / f"{page}.jpg", quality=80)


if __name__ == "__main__":
    main()
