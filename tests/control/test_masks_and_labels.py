"""Fields of masks and labels, with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from field_frames import HEIGHT, WIDTH, disc, encode, inside_and_outside, make, plain
from PIL import Image

from ncavideo.control.field import Context
from ncavideo.util.errors import UserError


def moving_disc(count: int) -> list[np.ndarray]:
    return [disc(12 + 4 * index, 24) for index in range(count)]


def test_a_mask_clip_follows_its_own_times(tmp_path: Path) -> None:
    """A disc at 10 frames a second, asked for at 25, in half the grid's size."""
    shapes = moving_disc(10)
    frames = [np.where(s, 255, 0).astype(np.uint8) for s in shapes]
    clip = encode(tmp_path / "mask.mkv", frames, 10, "-c:v", "ffv1", "-pix_fmt", "gray")
    field = make(f"mask:{clip}")
    for index in range(25):
        there = shapes[int(index / 25 * 10 + 1e-6)]
        least, most = inside_and_outside(field.values(plain(time=index / 25)), there, 1)
        assert least > 0.98
        assert most < 0.02
    (said,) = field.notes()
    assert "10 frames a second and the clip 25" in said
    field.close()


@pytest.mark.parametrize(("ending", "expected"), [("", 9), ("?hold", 9), ("?loop", 3)])
def test_a_mask_that_ends_early(tmp_path: Path, ending: str, expected: int) -> None:
    shapes = moving_disc(10)
    frames = [np.where(s, 255, 0).astype(np.uint8) for s in shapes]
    clip = encode(tmp_path / "mask.mkv", frames, 10, "-c:v", "ffv1", "-pix_fmt", "gray")
    field = make(f"mask:{clip}{ending}")
    for time in (0.0, 0.95, 1.5, 2.34):
        found = field.values(plain(time=time))
    least, most = inside_and_outside(found, shapes[expected], 1)
    assert least > 0.98
    assert most < 0.02
    assert any("shorter" in note for note in field.notes())


@pytest.mark.parametrize("rate", ["", "@10"])
def test_numbered_pictures(tmp_path: Path, rate: str) -> None:
    shapes = moving_disc(6)
    for index, there in enumerate(shapes):
        Image.fromarray(np.where(there, 255, 0).astype(np.uint8)).save(
            tmp_path / f"m_{index + 3:04d}.png"
        )
    field = make(f"mask:{tmp_path}/m_%04d.png{rate}")
    fps = 10 if rate else 25
    for index, there in enumerate(shapes):
        assert inside_and_outside(field.values(plain(time=index / fps)), there, 1)[0] > 0.98


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", None),
        ("a.mov", ["-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuva444p10le"]),
        ("a.webm", ["-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"]),
    ],
)  # fmt: skip
def test_a_mask_may_be_an_alpha_channel(
    tmp_path: Path, name: str, options: list[str] | None
) -> None:
    there = disc(32, 24, 12)
    picture = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    picture[..., 3] = np.where(there, 200, 0)
    if options is None:
        Image.fromarray(picture, "RGBA").save(tmp_path / name)
    else:
        encode(tmp_path / name, [picture] * 5, 25, *options)
    found = make(f"mask:{tmp_path / name}#alpha").values(plain())
    least, most = inside_and_outside(found, there, 4)
    assert least == pytest.approx(200 / 255, abs=0.03)
    assert most < 0.03


def test_notes_about_masks(tmp_path: Path) -> None:
    Image.new("L", (10, 30)).save(tmp_path / "m.png")
    field = make(f"mask:{tmp_path}/m.png")
    field.values(plain())
    notes = " ".join(field.notes())
    assert "black throughout" in notes
    assert "stretched" in notes
    Image.new("RGB", (10, 10)).save(tmp_path / "opaque.png")
    with pytest.raises(UserError, match="no alpha"):
        make(f"mask:{tmp_path}/opaque.png#alpha")
    with pytest.raises(UserError, match="no picture"):
        make(f"mask:{tmp_path}/nothing_%03d.png")


@pytest.mark.parametrize("mode", ["P", "L"])
def test_label_maps(tmp_path: Path, mode: str) -> None:
    numbers = np.zeros((2 * HEIGHT, 2 * WIDTH), np.uint8)
    numbers[:, :40] = 1
    numbers[:, 40:80] = 2
    image = Image.fromarray(numbers, "L")
    if mode == "P":
        image = Image.fromarray(numbers, "P")
        image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.save(tmp_path / "map.png")
    context = Context(Path())
    first, second = (make(f"labels:{tmp_path}/map.png:{n}", context) for n in (1, 2))
    expected = np.zeros((HEIGHT, WIDTH))
    expected[:, :20] = 1
    np.testing.assert_array_equal(first.values(plain()), expected)
    np.testing.assert_array_equal(second.values(plain()), np.roll(expected, 20, 1))
    with pytest.raises(UserError, match="no label 7: it has 0, 1, 2"):
        make(f"labels:{tmp_path}/map.png:7")
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    with pytest.raises(UserError, match="palette"):
        make(f"labels:{tmp_path}/rgb.png")
