"""Fields with known answers: where each is, cell by cell."""

from __future__ import annotations

import colorsys
import subprocess
from contextlib import closing
from pathlib import Path

import cv2
import material
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from ncavideo.control import FIELDS, make_field
from ncavideo.control.bands import Bands
from ncavideo.control.colour import oklab
from ncavideo.control.field import Context, Field, Motion, View, make_view
from ncavideo.control.footage import LABELS, Footage
from ncavideo.control.modifiers import ModifiedField
from ncavideo.control.spec import parse_control
from ncavideo.util.errors import UserError

HEIGHT, WIDTH = 48, 64
NOWHERE = Context(Path())


def make(text: str, context: Context = NOWHERE) -> Field:
    return make_field(parse_control(text), context)


def frame_view(rgb: np.ndarray, time: float = 0.0, motion: Motion | None = None) -> View:
    """Return the view of a picture in 0..1, one pixel a cell."""
    picture = (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return make_view(picture, *rgb.shape[:2], time, None, lambda luma, seconds: motion)


def plain(value: float = 0.5, time: float = 0.0) -> View:
    return frame_view(np.full((HEIGHT, WIDTH, 3), value), time)


def disc(x: float, y: float, radius: float = 8) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def inside_and_outside(
    found: np.ndarray, there: np.ndarray, margin: int = 2
) -> tuple[float, float]:
    """Return the least value well inside a shape, and the most well outside it."""
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    inner = cv2.erode(there.astype(np.uint8), kernel) > 0
    outer = cv2.dilate(there.astype(np.uint8), kernel) == 0
    return float(found[inner].min()), float(found[outer].max())


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def encode(path: Path, frames: list[np.ndarray], fps: float, *options: object) -> Path:
    """Write uint8 frames, grey, RGB or RGBA, as a clip."""
    kind = {2: "gray", 3: "rgb24", 4: "rgba"}[
        frames[0].ndim if frames[0].ndim == 2 else frames[0].shape[2]
    ]
    height, width = frames[0].shape[:2]
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", kind,
               "-s", f"{width}x{height}", "-r", str(fps), "-i", "-", *map(str, options),
               str(path)]  # fmt: skip
    subprocess.run(command, check=True, input=b"".join(f.tobytes() for f in frames))
    return path


# Luminance


@given(luma=hnp.arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32)))
@settings(max_examples=50)
def test_thirds_sum_to_one(luma: np.ndarray) -> None:
    view = View(np.repeat(luma[..., None], 3, 2), luma, 0.0)
    parts = [Bands.parse(third, NOWHERE).values(view) for third in ("dark", "mid", "bright")]
    np.testing.assert_allclose(sum(parts), 1, atol=1e-5)
    assert min(part.min() for part in parts) >= -1e-6


def test_bands_of_a_ramp() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, WIDTH)[None, :, None], (HEIGHT, WIDTH, 3))
    dark, bright, band = (
        make(f"luminance:{name}").values(frame_view(ramp))
        for name in ("dark", "bright", "0.25-0.5")
    )
    place = np.linspace(0, 1, WIDTH)
    assert (dark[:, place < 0.28] == 1).all()
    assert (dark[:, place > 0.39] == 0).all()
    assert (bright[:, place > 0.72] == 1).all()
    assert (bright[:, place < 0.61] == 0).all()
    assert (band[:, (place > 0.31) & (place < 0.44)] == 1).all()
    assert (band[:, (place < 0.2) | (place > 0.55)] == 0).all()
    # A gamma of 2 makes 0.25 look as bright as 0.5.
    lifted = make("luminance:0.4-0.6/2").values(frame_view(ramp))
    assert lifted[0, np.abs(place - 0.25).argmin()] == 1
    assert lifted[0, np.abs(place - 0.5).argmin()] == 0


# Colour


def colour_wheel() -> tuple[np.ndarray, np.ndarray]:
    """Return a disc of all hues at full saturation on grey, and each cell's hue in degrees."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    hue = np.degrees(np.arctan2(rows - HEIGHT / 2, columns - WIDTH / 2)) % 360
    wheel = np.full((HEIGHT, WIDTH, 3), 0.5)
    for y, x in np.argwhere(disc(WIDTH / 2, HEIGHT / 2, 22)):
        wheel[y, x] = colorsys.hsv_to_rgb(hue[y, x] / 360, 1, 1)
    return wheel, hue


@pytest.mark.parametrize(("begin", "end"), [(90, 150), (330, 30), (0, 120), (200, 201), (0, 360)])
def test_hue_on_a_colour_wheel(begin: float, end: float) -> None:
    wheel, hue = colour_wheel()
    found = make(f"hue:{begin:g}-{end:g}").values(frame_view(wheel))
    on_wheel = disc(WIDTH / 2, HEIGHT / 2, 22)
    width = 360 if end - begin == 360 else (end - begin) % 360
    beyond = (hue - begin) % 360
    inside = on_wheel & (beyond <= width)
    away = np.minimum(beyond - width, 360 - beyond)
    outside = on_wheel & (beyond > width) & (away > 16)
    assert found[inside].min() > 0.97
    assert found[outside].max(initial=0) == 0
    assert found[~disc(WIDTH / 2, HEIGHT / 2, 23)].max() == 0  # grey has no hue


@pytest.mark.parametrize(
    ("text", "centre", "width"),
    [("120/40", 120, 40), ("0/60", 0, 60), ("350", 350, 40), ("360/180", 0, 180)],
)
def test_hue_falls_from_a_centre_to_its_width(text: str, centre: float, width: float) -> None:
    wheel, hue = colour_wheel()
    found = make(f"hue:{text}").values(frame_view(wheel))
    away = np.abs((hue - centre + 180) % 360 - 180)
    wanted = np.where(away < width, (1 + np.cos(np.pi * away / width)) / 2, 0)
    on_wheel = disc(WIDTH / 2, HEIGHT / 2, 22)
    np.testing.assert_allclose(found[on_wheel], wanted[on_wheel], atol=0.02)
    assert found[~disc(WIDTH / 2, HEIGHT / 2, 23)].max() == 0  # grey has no hue


def test_a_pale_colour_has_half_a_hue() -> None:
    green = np.full((HEIGHT, WIDTH, 3), (0.5, 0.62, 0.5))  # chroma 0.12, between 0.06 and 0.18
    assert make("hue:120").values(frame_view(green)).mean() == pytest.approx(0.5, abs=0.03)


@given(begin=st.floats(0, 360), end=st.floats(0, 360), turn=st.sampled_from([0, 30, 90, 180]))
@settings(max_examples=30)
def test_hue_has_no_beginning(begin: float, end: float, turn: float) -> None:
    hues = np.arange(0, 360, 30.0)

    def found(shift: float) -> np.ndarray:
        row = [colorsys.hsv_to_rgb(((h + shift) % 360) / 360, 1, 1) for h in hues]
        view = View(np.zeros((1, 12, 3)), np.zeros((1, 12), np.float32), 0.0)
        view.__dict__["rgb"] = np.array([row], np.float32)
        first, last = (round((edge + shift) % 360, 3) for edge in (begin, end))
        return make(f"hue:{first}-{last}").values(view)

    if round(abs(begin - end), 3) % 360 > 0.01:
        np.testing.assert_allclose(found(0), found(turn), atol=2e-3)


def test_saturation() -> None:
    picture = np.full((HEIGHT, WIDTH, 3), 0.02)
    picture[:, :20] = (0.9, 0.1, 0.1)
    picture[:, 20:40] = 0.7
    found = make("saturation").values(frame_view(picture))
    assert found[:, :19].min() > 0.78
    assert found[:, 21:].max() < 0.01
    band = make("saturation:0.5-1").values(frame_view(picture))
    assert band[:, :19].min() == 1
    assert band[:, 21:].max() == 0


def test_likeness_to_a_colour() -> None:
    picture = np.full((HEIGHT, WIDTH, 3), (0.1, 0.2, 0.8))
    orange = disc(20, 20)
    picture[orange] = (1, 165 / 255, 0)
    for name in ("orange", "#ffa500", "orange/0.15"):
        least, most = inside_and_outside(make(f"colour:{name}").values(frame_view(picture)), orange)
        assert least > 0.99
        assert most < 0.1


def test_oklab() -> None:
    """The values in Ottosson's article's conversion of white, black and red."""
    found = oklab(np.array([(1, 1, 1), (0, 0, 0), (1, 0, 0)], np.float32))
    expected = [(1, 0, 0), (0, 0, 0), (0.62796, 0.22486, 0.12585)]
    np.testing.assert_allclose(found, expected, atol=2e-4)


# Edges, motion, background


def test_edges_of_a_disc() -> None:
    picture = np.where(disc(32, 24, 14), 0.9, 0.1)[..., None].repeat(3, 2)
    found = make("edges").values(frame_view(picture))
    rim = disc(32, 24, 14.5) & ~disc(32, 24, 13.5)
    assert found[rim].min() > 0.8
    assert found[disc(32, 24, 8)].max() < 0.02
    assert found[~disc(32, 24, 20)].max() < 0.02
    assert make("edges").values(plain()).max() == 0


def test_motion_of_a_disc() -> None:
    there = disc(30, 20)
    back = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    back[there] = (-0.48, 0)  # a hundredth of the height a frame
    motion = Motion(back, np.zeros((HEIGHT, WIDTH), bool), False, 0.04)
    picture = np.full((HEIGHT, WIDTH, 3), 0.5)
    # In 0.04 s that is a quarter of the height a second.
    least, most = inside_and_outside(
        make("motion").values(frame_view(picture, motion=motion)), there, 5
    )
    assert least > 0.98
    assert most < 0.01
    half = make("motion:0.5").values(frame_view(picture, motion=motion))
    assert half[20, 30] == pytest.approx((0.5 - 0.04) / 0.96, abs=0.02)
    # Twice the time, half the speed.
    slow = Motion(back, motion.occluded, False, 0.08)
    assert make("motion").values(frame_view(picture, motion=slow))[20, 30] < 0.6
    for other in (
        None,
        Motion(back, motion.occluded, True, 0.04),
        Motion(back, motion.occluded, False, 0),
    ):
        assert make("motion").values(frame_view(picture, motion=other)).max() == 0


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_what_comes_in_stands_out_and_then_belongs(fps: int) -> None:
    rng = np.random.default_rng(0)
    ground = rng.uniform(0.2, 0.5, (HEIGHT, WIDTH, 3))
    field = make("background:4")
    for index in range(2 * fps):
        empty = field.values(frame_view(ground, index / fps))
    assert empty.max() < 0.01
    there = disc(30, 24, 9)
    picture = np.where(there[..., None], (0.9, 0.9, 0.2), ground)
    begin = 2.0
    found = field.values(frame_view(picture, begin))
    least, most = inside_and_outside(found, there, 3)
    assert least > 0.95
    assert most < 0.05
    for index in range(1, 30 * fps):
        found = field.values(frame_view(picture, begin + index / fps))
        if found[24, 30] < 0.5:
            break
    # The frame rate does not decide how long that takes.
    assert index / fps == pytest.approx(4, abs=0.5)


def test_the_last_bit_does_not_hang_on_memory() -> None:
    """One frame has one answer, wherever its arrays come to lie."""
    rng = np.random.default_rng(0)
    view = frame_view(rng.random((360, 640, 3)))
    back = rng.normal(size=(360, 640, 2)).astype(np.float32)
    moving = make_view(view.source, 360, 640, 0.0, None, lambda luma, time: Motion(
        back, np.zeros((360, 640), bool), False, 0.04))  # fmt: skip
    for text in ("edges", "motion:5"):
        first = make(text).values(moving)
        for _ in range(25):
            held = [np.empty(rng.integers(1, 40_000), np.uint8) for _ in range(3)]
            np.testing.assert_array_equal(make(text).values(moving), first)
            del held


# Masks and labels


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


# Sound


@pytest.fixture(scope="module")
def chirp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds whose tone rises from 50 to 9,050 Hz after half a second of silence."""
    path = tmp_path_factory.mktemp("sound") / "chirp.mov"
    tone = "aevalsrc=if(gt(t\\,0.5)\\,0.5*sin(2*PI*(50*(t-0.5)+1286*(t-0.5)^2))\\,0):d=4:s=44100"
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=64x48:r=25:d=4", "-f", "lavfi", "-i", tone,
           "-shortest", "-c:a", "pcm_s16le", path)  # fmt: skip
    return path


def loudness(clip: Path, band: str) -> np.ndarray:
    field = make(f"audio{band}", Context(clip))
    return np.array([field.values(plain(time=t))[3, 3] for t in np.arange(0, 4, 0.04)])


def test_a_chirp_goes_through_the_bands(chirp: Path) -> None:
    # The tone is 50 + 2572 (t - 0.5) Hz: bass until 0.58 s, mid until 2.04 s, treble after.
    bass, mid, treble = (loudness(chirp, band) for band in (":bass", ":mid", ":treble"))
    times = np.arange(0, 4, 0.04)
    assert times[bass.argmax()] == pytest.approx(0.56, abs=0.1)
    assert bass[times > 1.4].max() < 0.2
    assert mid[(times > 0.75) & (times < 1.95)].min() > 0.6
    assert mid[times > 2.8].max() < 0.2
    assert treble[(times > 2.2) & (times < 3.9)].min() > 0.6
    assert treble[times < 1.9].max() < 0.2
    for band in (bass, mid, treble):
        assert band[times < 0.42].max() < 0.1  # silence
    own = loudness(chirp, ":1000-1500")
    assert times[own.argmax()] == pytest.approx(0.97, abs=0.15)


def test_loudness_is_the_same_everywhere(chirp: Path) -> None:
    values = make("audio", Context(chirp)).values(plain(time=2))
    assert values.shape == (HEIGHT, WIDTH)
    assert values.min() == values.max() > 0.5


def test_no_sound(tmp_path: Path) -> None:
    clip = encode(tmp_path / "mute.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3, 25)
    with pytest.raises(UserError, match="has no sound"):
        make("audio", Context(clip))


# Wishes for any field


def test_invert_and_weight(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 51).save(tmp_path / "m.png")

    def value(options: str) -> float:
        return float(
            ModifiedField.parse(f"mask:{tmp_path}/m.png{options}", NOWHERE).values(plain())[0, 0]
        )

    assert value("") == pytest.approx(0.2, abs=1e-3)
    assert value(",invert") == pytest.approx(0.8, abs=1e-3)
    assert value(",weight=2") == pytest.approx(0.4, abs=1e-3)
    assert value(",weight=9") == 1
    assert value(",invert,weight=0.5") == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_smoothing_takes_its_time_at_any_frame_rate(fps: int) -> None:
    field = ModifiedField.parse("colour:white/0.5,smooth=0.5", NOWHERE)
    field.values(plain(0, 0))
    before = float(field.values(plain(0, 1 / fps))[0, 0])
    for index in range(fps):
        after = float(field.values(plain(1, (2 + index) / fps))[0, 0])
    # After one second, two time constants, all but exp(-2) of the way.
    assert after == pytest.approx(1 - (1 - before) * np.exp(-2), abs=0.01)


def test_blur_spreads(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    picture[24, 32] = 255
    Image.fromarray(picture).save(tmp_path / "m.png")
    found = ModifiedField.parse(f"mask:{tmp_path}/m.png,blur=2", NOWHERE).values(plain())
    assert found.sum() == pytest.approx(1, abs=0.01)
    assert found[24, 32] == pytest.approx(1 / (2 * np.pi * 4), rel=0.05)


@pytest.mark.parametrize(
    "text", ["hue", "hue:a-b", "hue:0-400", "hue:400", "hue:120/0", "hue:120/", "hue:/40",
             "hue:nan", "hue:120,width=40", "saturation:2-3", "colour:notacolour", "colour:red/0",
             "colour:red/x", "edges:x", "edges:0", "motion:0", "motion:x", "background:x",
             "background:0", "luminance:0.5-0.2", "luminance:0-1/0", "luminance:murky", "audio:99",
             "mask:", "labels:", "luminance,smooth=x", "luminance,weight=-1", "luminance,blur=1e9"],
)  # fmt: skip
def test_arguments_that_cannot_be(text: str, chirp: Path) -> None:
    with pytest.raises(UserError) as caught:
        make(text, Context(chirp))
    assert "\n" not in str(caught.value)


def test_every_field_says_how_it_is_written() -> None:
    for name, kind in FIELDS.items():
        assert kind.usage.startswith(name)
    with pytest.raises(UserError, match="luminance") as caught:
        make("sparkle")
    assert all(name in str(caught.value) for name in FIELDS)


def test_a_clip_of_labels_is_turned_as_players_show_it(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[: HEIGHT // 2] = 255
    encode(tmp_path / "plain.mp4", [picture] * 3, 25, "-c:v", "libx264", "-pix_fmt", "yuv420p")
    material.orient(
        tmp_path / "plain.mp4", tmp_path / "turned.mp4", (material.ONE, 0, 0, -material.ONE)
    )
    for name, upper in (("plain", 1), ("turned", 0)):
        with closing(
            Footage(tmp_path / f"{name}.mp4", LABELS, "labels", loop=False, rate=25)
        ) as it:
            labels = it.at(0)
        assert (labels[: HEIGHT // 2 - 1] > 200).mean() == upper
