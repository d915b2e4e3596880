"""A large picture takes no more memory than one that fits the largest frame."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ncavideo.control.footage import ALPHA, LABELS, LUMINANCE, Footage, Part
from ncavideo.training import style_picture
from ncavideo.util import reduce_image
from ncavideo.util.errors import UserError
from ncavideo.util.reduce_image import open_reduced, reduced

MOST_MEMORY = 2e9  # bytes; torch itself takes 0.5e9, and a picture as floats 1.2e9
# As what, how large, and how it is read; how much memory reading it takes is the last line.
READ = """
import resource, sys
from pathlib import Path
path, part = Path(sys.argv[1]), sys.argv[2]
if part == "style":
    from ncavideo.training.style_picture import load_style
    print(*load_style(path).shape)
else:
    from ncavideo.control import footage
    print(*footage.Footage(path, getattr(footage, part), "mask", loop=False, rate=25).at(0).shape)
status = Path("/proc/self/status")
# What `getrusage` tells begins with the most that the parent had, before this program.
if status.exists():
    peak = int(status.read_text().split("VmHWM:")[1].split()[0])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak * 1024)
"""


@pytest.mark.parametrize(
    ("mode", "side", "part", "shape"),
    [
        ("1", 13000, "LUMINANCE", "4334 4334"),
        ("P", 13000, "LABELS", "4334 4334"),
        ("RGBA", 8000, "ALPHA", "4000 4000"),
        ("RGB", 10000, "style", "3 2048 2048"),
    ],
)
def test_a_large_picture_takes_little_memory(
    tmp_path: Path, mode: str, side: int, part: str, shape: str
) -> None:
    path = tmp_path / "large.png"
    Image.new(mode, (side, side)).save(path, compress_level=1)
    done = subprocess.run(
        [sys.executable, "-c", READ, path, part], capture_output=True, text=True, check=True
    )
    size, memory = done.stdout.strip().splitlines()[-2:]
    assert size == shape
    assert int(memory) < MOST_MEMORY


def _footage(path: Path, part: Part) -> np.ndarray:
    return Footage(path, part, "mask", loop=False, rate=25).at(0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what has more than 64 pixels for large."""
    monkeypatch.setattr(reduce_image, "MOST_KEPT", 64)
    monkeypatch.setattr(reduce_image, "BAND", 3)


@pytest.mark.usefixtures("small")
def test_squares_are_averaged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (15, 15), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    found = _footage(tmp_path / "mask.png", LUMINANCE)
    means = pixels[:14, :14].reshape(7, 2, 7, 2).mean((1, 3)) / 255
    assert found.shape == (8, 8)
    assert np.abs(found[:7, :7] - means).max() < 1 / 255


@pytest.mark.usefixtures("small")
def test_labels_stay_numbers(tmp_path: Path) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.fromarray(labels).convert("P")
    picture.save(tmp_path / "labels.png")
    found = _footage(tmp_path / "labels.png", LABELS)
    assert np.array_equal(found, np.asarray(picture)[::2, ::2])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "I;16", "F"])
def test_every_mode_keeps_its_light(tmp_path: Path, mode: str) -> None:
    """White stays white and black black, whatever they are kept as."""
    halves = np.zeros((16, 16), np.uint8)
    halves[:, 8:] = 255
    picture = Image.fromarray(halves)
    if mode == "I;16":
        picture = Image.fromarray(halves.astype(np.uint16) * 257)
    elif mode == "F":
        picture = Image.fromarray(halves.astype(np.float32) / 255)
    else:
        picture = picture.convert(mode)
    path = tmp_path / "mask.tif"
    picture.save(path)
    found = _footage(path, LUMINANCE)
    assert found.shape == (8, 8)
    assert np.abs(found - np.repeat([[0.0] * 4 + [1.0] * 4], 8, 0)).max() < 0.01


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_comes_along(tmp_path: Path, mode: str) -> None:
    clear = np.zeros((16, 16), np.uint8)
    clear[:8] = 255
    picture = Image.merge("LA", (Image.new("L", (16, 16), 9), Image.fromarray(clear)))
    path = tmp_path / "mask.png"
    if mode == "P":
        indices = Image.fromarray(clear // 255).convert("P")
        indices.putpalette([9, 9, 9, 9, 9, 9])
        indices.putdata(list((clear // 255).ravel()))
        indices.save(path, transparency=0)
    else:
        picture.convert(mode).save(path)
    found = _footage(path, ALPHA)
    assert found.shape == (8, 8)
    assert found[:4].min() == 1
    assert found[4:].max() == 0


@pytest.mark.usefixtures("small")
def test_a_jpeg_is_decoded_in_part(tmp_path: Path) -> None:
    path = tmp_path / "mask.jpg"
    Image.new("L", (64, 64), 200).save(path)
    with open_reduced(path, "mask") as image:
        assert image.size == (8, 8)
    assert np.abs(_footage(path, LUMINANCE) * 255 - 200).max() < 2


def test_what_is_not_large_stays_itself() -> None:
    picture = Image.new("RGB", (64, 64))
    assert reduced(picture) is picture


def test_a_style_picture_is_as_large_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its `scale` counts from the file's own size."""
    path = tmp_path / "style.png"
    Image.fromarray(np.arange(200 * 200, dtype=np.uint8).reshape(200, 200)).save(path)
    before = style_picture.load_style(path, 0.5).shape
    monkeypatch.setattr(reduce_image, "MOST_KEPT", 150 * 150)
    assert style_picture.load_style(path, 0.5).shape == before == (3, 100, 100)


def test_too_large_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "mask.bmp"
    Image.new("RGB", (2, 2)).save(path)
    header = bytearray(path.read_bytes())
    header[18:26] = (13000).to_bytes(4, "little") * 2
    path.write_bytes(header)
    with pytest.raises(UserError, match="too large: 13000x13000, where 110 million"):
        _footage(path, LUMINANCE)
