"""Numbered and animated pictures as clips."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

from ncavideo.cli.main import main
from ncavideo.control import make_field
from ncavideo.control.field import Context, make_view
from ncavideo.control.spec import parse_control
from ncavideo.util.errors import UserError
from ncavideo.video.numbered import clip_name, is_sequence, sequence, with_rate
from ncavideo.video.picture_file import PictureFile
from ncavideo.video.pyav import open_input
from ncavideo.video.reader import SourceFrame, VideoReader
from ncavideo.video.survey import clip_length, survey
from tests.material import ffmpeg

RNG = np.random.default_rng(3)
QUICK = ("--rules", "fire,moss", "--warmup", "1", "--steps", "1")


def frames(clip: Path, **arguments: float) -> list[SourceFrame]:
    with VideoReader(clip, **arguments) as reader:  # type: ignore[arg-type]
        return list(reader)


def noise(count: int, dtype: type = np.uint8, channels: int = 3) -> list[np.ndarray]:
    most = np.iinfo(dtype).max
    return [RNG.integers(0, most, (47, 33, channels), dtype, endpoint=True) for _ in range(count)]


def write(folder: Path, pictures: list[np.ndarray], pattern: str, first: int = 1) -> Path:
    for number, picture in enumerate(pictures, first):
        order = [2, 1, 0, 3][: picture.shape[2]]
        assert cv2.imwrite(str(folder / (pattern % number)), picture[..., order])
    return folder / pattern


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("size", [(160, 90), (161, 91), (1, 1), (4097, 3)])
def test_a_file_that_is_made_as_it_is_read(size: tuple[int, int], deep: bool) -> None:
    dtype = np.uint16 if deep else np.uint8
    made = [RNG.integers(0, np.iinfo(dtype).max, (*size[::-1], 3), dtype) for _ in range(6)]
    lengths = [3003, 3003, 1, 200, 90_000, 7]
    file = PictureFile(size, deep, lengths, 90_000, made.__getitem__)
    with open_input(file, format="mov") as container:
        stream = container.streams.video[0]
        decoded = list(container.decode(stream))
        assert [frame.duration for frame in decoded] == lengths
        assert [frame.pts for frame in decoded] == [0, *np.cumsum(lengths)[:-1]]
        for frame, picture in zip(decoded, made, strict=True):
            read = frame.to_ndarray(format="rgb48le" if deep else "rgb24")
            np.testing.assert_array_equal(read, picture)
        container.seek(6200, stream=stream)
        assert next(container.decode(stream)).pts == 6007


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("first", [0, 1, 1001])
def test_numbered_pictures_are_a_clip(first: int, suffix: str, dtype: type, tmp_path: Path) -> None:
    pictures = noise(5, dtype)
    clip = write(tmp_path, pictures, f"f_%05d{suffix}", first)
    with VideoReader(clip) as reader:
        read = list(reader)
        assert (reader.info.width, reader.info.height) == (33, 47)
        assert reader.info.average_rate == 25
        assert reader.info.frames == 5
        assert reader.loss is None
    for frame, picture in zip(read, pictures, strict=True):
        np.testing.assert_array_equal(frame.rgb, picture)
    assert [frame.time for frame in read] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert clip_length(clip) == pytest.approx(0.2)
    assert len(survey(clip)) == 5
    part = frames(clip, start=0.08, duration=0.08)
    assert [frame.rgb.tobytes() for frame in part] == [p.tobytes() for p in pictures[2:4]]


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("30", Fraction(30)),
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("0.5", Fraction(1, 2)),
        ("1000", Fraction(1000)),
    ],
)
def test_the_rate_is_exact(name: str, rate: Fraction, tmp_path: Path) -> None:
    clip = write(tmp_path, noise(3), "%d.png", 8)  # the 10th sorts before the 8th by name
    asked = with_rate(clip, float(name))
    assert asked == tmp_path / f"%d.png@{name}"
    assert sequence(asked) == ([tmp_path / f"{n}.png" for n in (8, 9, 10)], rate)
    with VideoReader(asked) as reader:
        assert reader.info.average_rate == rate
        assert [frame.pts * reader.info.time_base for frame in reader] == [0, 1 / rate, 2 / rate]


def test_pictures_of_all_kinds_in_one_clip(tmp_path: Path) -> None:
    """Grey, a palette, alpha, JPEG's orientation: as one reader has them."""
    colour = Image.fromarray(noise(1)[0])
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "a").mkdir()
    for index, mode in enumerate(("RGB", "L", "P", "LA", "RGBA", "1", "CMYK")):
        suffix = "tif" if mode == "CMYK" else "png"
        colour.convert(mode).save(tmp_path / "a" / f"{index}.{suffix}")
    (tmp_path / "a" / "6.tif").rename(tmp_path / "a" / "6.png")  # its contents say what it is
    read = frames(tmp_path / "a" / "%d.png")
    for frame, mode in zip(read, ("RGB", "L", "P", "LA", "RGBA", "1", "CMYK"), strict=True):
        shown = np.asarray(colour.convert(mode).convert("RGB"))
        np.testing.assert_array_equal(frame.rgb, shown, err_msg=mode)
    smooth = Image.linear_gradient("L").resize((33, 47))
    for number in (1, 2):
        smooth.rotate(90, expand=True).save(tmp_path / f"{number}.jpg", exif=exif, quality=100)
    turned = frames(tmp_path / "%d.jpg")
    assert np.abs(turned[1].rgb[..., 1].astype(int) - np.asarray(smooth)).max() < 5


@pytest.mark.parametrize("stored", range(1, 9))
def test_a_photograph_is_a_clip_of_one_frame(stored: int, tmp_path: Path) -> None:
    """As a camera stores it: EXIF is side data whose kind PyAV 18 has no name for."""
    exif = Image.Exif()
    exif[274] = stored
    colour = Image.fromarray(noise(1)[0]).resize((48, 32), Image.Resampling.BICUBIC)
    colour.save(tmp_path / "photo.jpg", exif=exif, quality=100, subsampling=0)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "photo.jpg")))
    (frame,) = frames(tmp_path / "photo.jpg")
    assert frame.rgb.shape == upright.shape
    assert np.abs(frame.rgb.astype(int) - upright).max() < 8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_clear_is_black(dtype: type, tmp_path: Path) -> None:
    clear, half, full = (noise(1, dtype, 4)[0] for _ in range(3))
    white = np.iinfo(dtype).max
    clear[..., 3], half[..., 3], full[..., 3] = 0, white // 2, white
    read = frames(write(tmp_path, [full, half, clear], "f%03d.png"))
    np.testing.assert_array_equal(read[0].rgb, full[..., :3])
    assert np.abs(read[1].rgb.astype(float) - half[..., :3] / 2).max() <= white / 250
    assert read[2].rgb.max() == 0


def test_a_file_of_that_very_name_is_a_file(tmp_path: Path) -> None:
    clip = tmp_path / "100%d.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x32:duration=0.2", tmp_path / "plain.mp4")
    (tmp_path / "plain.mp4").rename(clip)
    assert not is_sequence(clip)
    assert len(frames(clip)) == 5


@pytest.mark.parametrize(
    ("name", "stem"),
    [("f_%05d.png", "f"), ("shot.%d.tif@24", "shot"), ("%04d.png", "pictures"), ("in.mp4", "in")],
)
def test_an_output_is_named_without_the_number(name: str, stem: str, tmp_path: Path) -> None:
    assert clip_name(tmp_path / "pictures" / name) == stem


def said(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("command", ["render", "preview"])
def test_pictures_that_are_no_clip_are_refused_in_a_sentence(command: str, tmp_path: Path) -> None:
    out = tmp_path / ("out.mp4" if command == "render" else "out.png")
    asked = ("-o", out, *QUICK)
    clip = write(tmp_path, noise(4), "f_%05d.png")
    plain = tmp_path / "plain.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x32:duration=0.2", plain)
    assert "has its own" in said(command, plain, *asked, "--fps", "24")
    assert "must lie between" in said(command, clip, *asked, "--fps", "0")
    assert "no rate between" in said(command, f"{clip}@0", *asked)
    assert "there is no picture" in said(command, tmp_path / "g_%05d.png", *asked)
    assert "there is no folder" in said(command, tmp_path / "none" / "g_%05d.png", *asked)
    gap = tmp_path / "f_00002.png"
    kept = gap.read_bytes()
    gap.unlink()
    assert "f_00002.png is missing between f_00001.png and f_00003.png" in said(
        command, clip, *asked
    )
    Image.new("RGB", (33, 48)).save(gap)
    assert "f_00002.png is 33x48 and f_00001.png 33x47" in said(command, clip, *asked)
    gap.write_bytes(kept[:20])
    assert "f_00002.png" in said(command, clip, *asked)
    gap.write_bytes(b"")
    assert "f_00002.png" in said(command, clip, *asked)
    assert not out.exists()


def test_the_pictures_are_not_replaced_by_their_own_render(tmp_path: Path) -> None:
    clip = write(tmp_path, noise(3), "f_%05d.png")
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    for name in (clip, f"{clip}@24"):
        assert "is the input" in said("render", name, "-o", clip, *QUICK, "--overwrite")
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before


def test_a_picture_that_is_damaged_ends_the_clip(tmp_path: Path) -> None:
    clip = write(tmp_path, noise(6), "f_%05d.png")
    damaged = tmp_path / "f_00005.png"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    with VideoReader(clip) as reader:
        assert len(list(reader)) == 4
        assert reader.loss is not None


@pytest.mark.slow
def test_a_render_of_numbered_pictures(tmp_path: Path) -> None:
    """To numbered pictures and to a clip, alone and in a batch, at the rate asked for."""
    (tmp_path / "in").mkdir()
    clip = write(tmp_path / "in", noise(6), "f_%05d.png")
    out = tmp_path / "out.mp4"
    result = CliRunner().invoke(main, ["render", str(clip), "-o", str(out), *QUICK, "--fps", "12"])
    assert result.exit_code == 0, result.output
    with VideoReader(out) as reader:
        assert reader.info.average_rate == 12
        assert len(list(reader)) == 6
    listed = tmp_path / "list.csv"
    listed.write_text("clip,fps\nin/f_%05d.png,12\n")
    folder = tmp_path / "batch"
    arguments = ["batch", str(listed), "--out-dir", str(folder), *QUICK, "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    (job,) = json.loads(result.stdout)["jobs"]
    assert job["frames"] == 6
    batched = frames(folder / "f.fire-moss.mp4")
    for one, other in zip(batched, frames(out), strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)
    assert json.loads(CliRunner().invoke(main, arguments).stdout)["done"] == 1


def animation(path: Path, pictures: list[Image.Image], durations: list[int]) -> Path:
    more = {"lossless": True} if path.suffix == ".webp" else {"quality": 100}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, **more)
    return path


@pytest.mark.parametrize("suffix", [".webp", ".png", ".avif"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_animated_picture_is_a_clip(mode: str, suffix: str, tmp_path: Path) -> None:
    if suffix == ".avif" and ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow does not write AVIF")
    shades = [10, 200, 90, 250]
    pictures = []
    for shade in shades:
        picture = Image.new("RGBA", (34, 48), (shade, shade, shade, 255))
        picture.paste((255, 255, 255, 0), (0, 0, 10, 10))  # white, but clear
        pictures.append(picture.convert(mode))
    path = animation(tmp_path / f"a{suffix}", pictures, [40, 80, 1000, 200])
    with VideoReader(path) as reader:
        read = list(reader)
        assert reader.loss is None
        info = reader.info
    assert [frame.time for frame in read] == pytest.approx([0, 0.04, 0.12, 1.12], abs=1e-4)
    assert read[-1].duration is not None
    assert float(read[-1].duration * info.time_base) == pytest.approx(0.2, abs=1e-3)
    for frame, shade in zip(read, shades, strict=True):
        assert abs(int(frame.rgb[40, 25, 0]) - shade) <= 3
        corner = 0 if mode == "RGBA" else 255
        assert abs(int(frame.rgb[2, 2, 0]) - corner) <= 3
    part = frames(path, start=0.12, duration=1.0)
    assert [frame.rgb[40, 25, 0] for frame in part] == [read[2].rgb[40, 25, 0]]
    assert clip_length(path) == pytest.approx(1.32, abs=1e-3)
    field = make_field(parse_control(f"mask:{path}"), Context(Path()))
    seen = np.zeros((48, 34, 3), np.uint8)
    masks = [float(field.values(make_view(seen, 48, 34, time))[40, 25]) for time in (0, 0.1, 0.5)]
    field.close()
    assert masks == pytest.approx([shade / 255 for shade in shades[:3]], abs=0.02)


def test_the_picture_before_an_animation_is_no_part_of_it(tmp_path: Path) -> None:
    pictures = [Image.new("RGBA", (8, 8), (shade, 0, 0, 255)) for shade in (1, 100, 200)]
    path = tmp_path / "a.png"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], default_image=True,
                     duration=[50, 50])  # fmt: skip
    assert [frame.rgb[0, 0, 0] for frame in frames(path)] == [100, 200]


def test_a_damaged_animation_is_one_sentence(tmp_path: Path) -> None:
    pictures = [Image.fromarray(picture) for picture in noise(3)]
    path = animation(tmp_path / "a.webp", pictures, [40, 40, 40])
    path.write_bytes(path.read_bytes()[:-3000])
    line = said("render", path, "-o", tmp_path / "out.mp4", *QUICK)
    assert "the animation" in line
    assert "a.webp is damaged" in line
    with pytest.raises(UserError):
        VideoReader(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.webp")
    line = said("render", tmp_path / "a.webp", "-o", tmp_path / "o.mp4", *QUICK)
    assert "not a regular file" in line
