"""Pictures as numbers: every kind that Pillow opens is read on its own scale, or refused."""

from __future__ import annotations

import struct
import subprocess
import zlib
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
from ncavideo.training.style_picture import load_style
from ncavideo.util.errors import UserError
from ncavideo.util.read_image import (
    open_picture,
    picture_alpha,
    picture_numbers,
    picture_pixels,
    read_picture,
)

SHARES = np.linspace(0, 1, 16).reshape(4, 4)  # of white
# NumPy's type, TIFF's sample format, bits, what is white.
KINDS = {
    "uint8": ("u1", 1, 8, 255), "int8": ("i1", 2, 8, 127),
    "uint16": ("u2", 1, 16, 65535), "int16": ("i2", 2, 16, 32767),
    "uint32": ("u4", 1, 32, 2**32 - 1), "int32": ("i4", 2, 32, 2**31 - 1),
    "float32": ("f4", 3, 32, 1),
}  # fmt: skip


def write_tiff(path: Path, numbers: np.ndarray, kept: int, bits: int, white: int = 1) -> None:
    """Write one channel as it is, TIFF 6.0; `white` 0: of zeros."""
    order = ">" if numbers.dtype.byteorder == ">" else "<"
    data, (height, width) = numbers.tobytes(), numbers.shape
    if bits == 12:
        pairs = numbers.reshape(-1, 2).astype(int)
        three = pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255
        data = np.stack(three, 1).astype(np.uint8).tobytes()
    shorts = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: white,
        277: 1,
        278: height,
        339: kept,
    }
    entries = {tag: struct.pack(order + "HHIHH", tag, 3, 1, v, 0) for tag, v in shorts.items()}
    for tag, value in ((273, 8), (279, len(data))):
        entries[tag] = struct.pack(order + "HHII", tag, 4, 1, value)
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8 + len(data))
    listed = b"".join(entries[tag] for tag in sorted(entries))
    path.write_bytes(head + data + struct.pack(order + "H", len(entries)) + listed + bytes(4))


def numbers(kind: str, order: str = "<") -> np.ndarray:
    dtype, _, _, white = KINDS[kind]
    values = SHARES * white if dtype == "f4" else np.rint(SHARES * white)
    return values.astype(np.dtype(dtype).newbyteorder(order))


def mask_of(path: Path, control: str = "mask") -> np.ndarray:
    field = make_field(parse_control(f"{control}:{path}"), Context(Path()))
    return field.values(make_view(np.zeros((4, 4, 3), np.uint8), 4, 4, 0.0))


def opens(path: Path) -> bool:
    try:
        Image.open(path).close()
    except OSError:
        return False
    return True


def as_shown(path: Path) -> list[np.ndarray]:
    """Return the same picture as a mask, a style and a photograph, grey `[h, w]` in 0..1."""
    return [mask_of(path), load_style(path)[1].numpy(), read_picture(path, "picture")[..., 2]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_is_read_on_the_scale_of_its_numbers(kind: str, order: str, tmp_path: Path) -> None:
    path = tmp_path / "ramp.tif"
    write_tiff(path, numbers(kind, order), *KINDS[kind][1:3])
    if not opens(path):  # which of them Pillow knows in this order is its own affair
        with pytest.raises(UserError, match="not a picture that can be read"):
            read_picture(path, "picture")
        return
    for shown in as_shown(path):
        np.testing.assert_allclose(shown, SHARES, atol=0.006)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "float32"])
def test_zero_may_be_white(kind: str, tmp_path: Path) -> None:
    write_tiff(tmp_path / "ramp.tif", numbers(kind), *KINDS[kind][1:3], white=0)
    if kind == "uint32" and not opens(tmp_path / "ramp.tif"):
        pytest.skip("this Pillow does not know it")
    for shown in as_shown(tmp_path / "ramp.tif"):
        np.testing.assert_allclose(shown, 1 - SHARES, atol=0.006)


def test_twelve_bits(tmp_path: Path) -> None:
    write_tiff(tmp_path / "ramp.tif", np.rint(SHARES * 4095).astype(np.uint16), 1, 12)
    for shown in as_shown(tmp_path / "ramp.tif"):
        np.testing.assert_allclose(shown, SHARES, atol=0.001)


def test_pictures_that_others_wrote(tmp_path: Path) -> None:
    """By OpenCV, compressed, and by Pillow."""
    for name, kind in (("a.tif", "float32"), ("b.tif", "int32"), ("c.tif", "uint16"),
                       ("d.png", "uint16")):  # fmt: skip
        assert cv2.imwrite(str(tmp_path / name), numbers(kind))
    Image.fromarray(numbers("float32")).save(tmp_path / "e.tif")
    Image.fromarray(numbers("int32")).save(tmp_path / "f.tif")
    Image.fromarray(numbers("uint16")).save(tmp_path / "g.png")
    for path in sorted(tmp_path.iterdir()):
        for shown in as_shown(path):
            np.testing.assert_allclose(shown, SHARES, atol=1e-4, err_msg=path.name)
    # Netpbm's, deep and as floats; a mask with such a name would be a clip.
    deep = np.rint(SHARES * 65535).astype(">u2").tobytes()
    (tmp_path / "h.pgm").write_bytes(b"P5\n4 4\n65535\n" + deep)
    floats = SHARES[::-1].astype("<f4").tobytes()  # from the bottom up
    (tmp_path / "i.pfm").write_bytes(b"Pf\n4 4\n-1.0\n" + floats)
    for name in ("h.pgm", "i.pfm"):
        if not opens(tmp_path / name):
            continue  # the latter is known from Pillow 10.3 on
        shown = read_picture(tmp_path / name, "picture")[..., 0]
        np.testing.assert_allclose(shown, SHARES, atol=1e-4)


def test_floats_beyond_the_scale(tmp_path: Path) -> None:
    """What sharpening adds is cut off; another scale is refused, in one sentence."""
    path = tmp_path / "ramp.tif"
    Image.fromarray((SHARES * 1.3 - 0.15).astype(np.float32)).save(path)
    for shown in as_shown(path):
        np.testing.assert_allclose(shown, np.clip(SHARES * 1.3 - 0.15, 0, 1), atol=1e-6)
    unfit = SHARES.copy()
    unfit[1, 1] = np.nan
    for values, match in ((SHARES * 255, "from 0 to 255, where 0 is black and 1 is white"),
                          (SHARES - 0.5, "from -0.5 to 0.5"), (unfit, "not finite"),
                          (SHARES + np.inf, "not finite")):  # fmt: skip
        Image.fromarray(values.astype(np.float32)).save(path)
        for read in (mask_of, load_style, lambda p: read_picture(p, "picture")):
            with pytest.raises(UserError, match=match) as caught:
                read(path)
            assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    write_tiff(path, numbers("int16") - np.int16(9), 2, 16)
    with pytest.raises(UserError, match="from -9 to 32758, where 0 is black and 32767 is white"):
        mask_of(path)
    said = CliRunner().invoke(main, ["still", "--picture", str(path), "--rules", "moss", "-o",
                                     str(tmp_path / "o.png")])  # fmt: skip
    assert said.exit_code == 2
    assert "where 0 is black" in said.output


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_map_keeps_its_numbers(kind: str, tmp_path: Path) -> None:
    path, most = tmp_path / "labels.tif", 1 if kind == "float32" else KINDS[kind][3]
    labels = np.array([[0, 1, 1, most], [0, 0, 1, most]]).astype(KINDS[kind][0])
    write_tiff(path, labels, *KINDS[kind][1:3])
    for label in (0, 1, most):
        field = make_field(parse_control(f"labels:{path}:{label}"), Context(Path()))
        found = field.values(make_view(np.zeros((2, 4, 3), np.uint8), 2, 4, 0.0))
        np.testing.assert_array_equal(found, labels == label)


def test_label_maps_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    for values in (SHARES, SHARES + np.nan):
        Image.fromarray(values.astype(np.float32)).save(path)
        with pytest.raises(UserError, match="not whole"):
            mask_of(path, "labels")
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(UserError, match=r"in colour \(RGB\)"):
        mask_of(path, "labels")


def test_one_grey_may_be_clear(tmp_path: Path) -> None:
    """As PNG has it for 16 bits: a chunk behind the header (ISO/IEC 15948, 11.3.2.1)."""
    path = tmp_path / "clear.png"
    Image.fromarray(numbers("uint16")).save(path)
    data, chunk = path.read_bytes(), b"tRNS" + struct.pack(">H", 13107)
    chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:33] + chunk + data[33:])
    np.testing.assert_array_equal(mask_of(Path(f"{path}#alpha")), SHARES != 0.2)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_picture_is_read_upright(orientation: int, suffix: str, tmp_path: Path) -> None:
    """0 and 9 are none of EXIF's eight orientations."""
    stored = Image.fromarray(np.kron(np.arange(6).reshape(2, 3) * 40, np.ones((16, 16))))
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"photo{suffix}"
    stored.convert("RGB").save(path, exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("L"), np.float32) / 255
    assert (upright.shape == (48, 32)) == (5 <= orientation <= 8)
    np.testing.assert_allclose(read_picture(path, "picture")[..., 0], upright, atol=0.02)
    style = load_style(path)[1].numpy()
    np.testing.assert_allclose(style, upright, atol=0.02)
    seen = np.zeros((*upright.shape, 3), np.uint8)
    field = make_field(parse_control(f"mask:{path}"), Context(Path()))
    mask = field.values(make_view(seen, *upright.shape, 0.0))
    np.testing.assert_allclose(mask, upright, atol=0.02)


@pytest.mark.parametrize("orientation", [1, 2, 6, 7])
def test_numbers_and_alpha_are_read_upright(orientation: int, tmp_path: Path) -> None:
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(labels).save(tmp_path / "labels.png", exif=exif)
    with Image.open(tmp_path / "labels.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    with Image.open(tmp_path / "labels.png") as image:
        np.testing.assert_array_equal(picture_numbers(image), upright)
    Image.merge("LA", [Image.fromarray(labels)] * 2).save(tmp_path / "clear.png", exif=exif)
    with Image.open(tmp_path / "clear.png") as image:
        alpha = picture_alpha(image)
    assert alpha is not None
    np.testing.assert_allclose(alpha, upright / 255, atol=1e-6)


def test_a_broken_exif_block_is_no_reason_to_refuse_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), "white").save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*nonsense")
    Image.new("RGB", (3, 2), "white").save(tmp_path / "b.jpg", exif=b"Exif\0\0nonsense")
    for path in sorted(tmp_path.iterdir()):
        assert read_picture(path, "picture").shape == (2, 3, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_keep_their_sixteen_bits(
    channels: int, suffix: str, orientation: int, tmp_path: Path
) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (4, 6, channels), np.uint16)
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), deep[..., [2, 1, 0, 3][:channels]])
    if suffix == ".tif":  # its orientation is a tag of the first folder
        path.write_bytes(with_tag(path.read_bytes(), 274, orientation))
    else:
        exif = Image.Exif()
        exif[274] = orientation
        block = exif.tobytes().removeprefix(b"Exif\0\0")
        head, rest = path.read_bytes()[:33], path.read_bytes()[33:]
        chunk = b"eXIf" + block
        path.write_bytes(
            head + struct.pack(">I", len(block)) + chunk
            + struct.pack(">I", zlib.crc32(chunk)) + rest
        )  # fmt: skip
    turn = {1: lambda a: a, 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, -1),
            7: lambda a: a[::-1, ::-1].swapaxes(0, 1)}[orientation]  # fmt: skip
    read = read_picture(path, "picture")
    np.testing.assert_array_equal(np.rint(read * 65535), turn(deep[..., :3]))
    if channels == 4:
        with open_picture(path, "picture") as image:
            alpha = picture_alpha(image)
        assert alpha is not None
        np.testing.assert_array_equal(np.rint(alpha * 65535), turn(deep[..., 3]))
        with open_picture(path, "picture") as image:
            over_black = picture_pixels(image, deep=True)
        shown = turn(deep[..., :3]) * (turn(deep[..., 3:]) / 65535)
        np.testing.assert_allclose(over_black, shown, atol=0.51)


def test_grey_with_alpha_keeps_its_sixteen_bits(tmp_path: Path) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (4, 6, 2), np.uint16)
    path = tmp_path / "deep.png"
    command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "ya16le", "-s", "6x4", "-i",
               "-", "-pix_fmt", "ya16be", str(path)]  # fmt: skip
    subprocess.run(command, input=deep.tobytes(), check=True)
    read = read_picture(path, "picture")
    np.testing.assert_array_equal(np.rint(read * 65535), deep[..., :1].repeat(3, 2))
    with open_picture(path, "picture") as image:
        alpha = picture_alpha(image)
    assert alpha is not None
    np.testing.assert_array_equal(np.rint(alpha * 65535), deep[..., 1])


def with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """Return a little-endian TIFF with one more short in its first folder, which moves."""
    assert tiff[:2] == b"II"
    (begin,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, begin)
    entries = [tiff[begin + 2 + 12 * i : begin + 14 + 12 * i] for i in range(count)]
    entries = [e for e in entries if struct.unpack_from("<H", e)[0] != tag]
    entries.append(struct.pack("<HHIHH", tag, 3, 1, value, 0))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    folder = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    at = len(tiff) + len(tiff) % 2
    return tiff[:4] + struct.pack("<I", at) + tiff[8:].ljust(at - 8, b"\0") + folder
