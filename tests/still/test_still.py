"""Stills: fractals and their tiles, tileable pictures, photographs as texture, files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ncavideo.cli.main import main
from ncavideo.nca import engines
from ncavideo.nca.rule_sheet import LABEL, TILE, sheet_picture
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.still import zoom
from ncavideo.still.fractal import enlarged, grow_fractal, sizes
from ncavideo.still.options import StillOptions
from ncavideo.util.errors import UserError
from ncavideo.util.write_image import linear

pytestmark = pytest.mark.slow


def read(path: Path, mode: str | None = None) -> np.ndarray:
    """Return a picture's numbers as floats."""
    with Image.open(path) as image:
        return np.asarray(image.convert(mode) if mode else image, float)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def fractal(tile: int = 1024, **changes: object) -> np.ndarray:
    asked = {"weights": {"magma": 1.0}, "fractal": 2, "scale": 2.5, "level_steps": 16, "steps": 60}
    options = StillOptions(**(asked | changes))  # type: ignore[arg-type]
    return np.array(grow_fractal(open_ruleset("elements"), options, 110, 170, tile=tile))


# A part of a grid


@pytest.mark.parametrize("edge", ["reflect", "wrap"])
def test_a_part_lives_as_in_the_whole(edge: str) -> None:
    ruleset = open_ruleset("elements")
    draw = np.random.default_rng(0)
    inputs = draw.random((len(ruleset.inputs), 60, 80), dtype=np.float32)
    inputs[:4] /= inputs[:4].sum(0)
    whole = engines.start("fused", ruleset, 60, 80, seed=5, edge=edge, device="cpu")  # type: ignore[arg-type]
    whole.step(inputs, 12)
    part = engines.start("fused", ruleset, 40, 50, seed=5, edge="reflect", device="cpu")
    part.place(10, 20)
    part.step(inputs[:, 10:50, 20:70], 12)
    inner = part.snapshot().state[:, 12:-12, 12:-12]
    assert np.array_equal(inner, whole.snapshot().state[:, 22:38, 32:58])
    assert not np.array_equal(part.snapshot().state, whole.snapshot().state[:, 10:50, 20:70])


def test_an_engine_that_cannot_says_so() -> None:
    engine = engines.start("torch", open_ruleset("tiny"), 8, 8, device="cpu")
    with pytest.raises(ValueError, match="part of a grid"):
        engine.place(1, 1)


@pytest.mark.parametrize("wraps", [False, True])
def test_windows_of_an_enlargement_fit_each_other(wraps: bool) -> None:
    cells = np.random.default_rng(0).normal(size=(13, 17, 3)).astype(np.float32)
    whole = enlarged(cells, (40, 51), ((0, 40), (0, 51)), wraps=wraps)
    part = enlarged(cells, (40, 51), ((7, 33), (11, 29)), wraps=wraps)
    assert np.array_equal(part, whole[7:33, 11:29])
    # A plane stays a plane, cell centres where they belong.
    plane = np.arange(20, dtype=np.float32)[None, :, None] * np.ones((10, 1, 1), np.float32)
    fine = enlarged(plane, (20, 40), ((0, 20), (0, 40)))[:, :, 0]
    assert np.allclose(fine[:, 6:-6], ((np.arange(40) + 0.5) / 2 - 0.5)[6:-6], atol=1e-5)


# Fractals


def test_a_fractal_in_tiles_is_the_fractal() -> None:
    whole = fractal()
    assert np.array_equal(whole, fractal())
    assert np.array_equal(whole, fractal(tile=48))
    assert not np.array_equal(whole, fractal(seed=1))


def test_a_fractal_tells_of_its_steps() -> None:
    shares: list[float] = []
    options = StillOptions({"ice": 1.0}, fractal=1, steps=128)
    grow_fractal(open_ruleset("tiny"), options, 512, 512, shares.append)
    # The coarsest level has a third of the work: a fourth of the cells, twice as many steps.
    assert shares == sorted(shares) and shares[-1] == 1
    assert np.diff([0, *shares]).max() < 0.15
    assert any(share == pytest.approx(1 / 3) for share in shares)


def test_coarse_structure_stays_visible() -> None:
    """Each level is drawn in the light of the one before."""
    options = StillOptions({"magma": 1.0}, fractal=1, scale=3.0, level_steps=64, steps=400)
    ruleset = open_ruleset("elements")
    fine = np.array(grow_fractal(ruleset, options, 192, 192)).mean(-1).astype(np.float32)
    coarse = ruleset.grow(64, 64, {"magma": 1.0}, steps=400, edge="reflect").mean(-1)
    seen = cv2.resize(fine, (64, 64), interpolation=cv2.INTER_AREA)
    blurred = [cv2.GaussianBlur(p, (0, 0), 1.5).ravel() for p in (seen, coarse)]
    assert np.corrcoef(*blurred)[0, 1] > 0.6


def test_rules_of_a_fractal_share_it_as_asked() -> None:
    both = {"fire": 0.3, "water": 0.7}
    options = StillOptions(both, fractal=2, scale=3.0, level_steps=64, steps=300)
    picture = np.array(grow_fractal(open_ruleset("elements"), options, 180, 180)) / 65535
    red = picture[..., 0] > picture[..., 2]
    assert 0.15 < red.mean() < 0.5


def test_sizes_end_with_what_was_asked_for() -> None:
    assert sizes(180, 320, 2, 3.0) == [(20, 36), (60, 107), (180, 320)]
    with pytest.raises(UserError, match="fewer levels"):
        sizes(90, 160, 4, 3.0)


def test_the_command_grows_a_fractal_and_zooms_into_it(tmp_path: Path) -> None:
    out, clip = tmp_path / "f.png", tmp_path / "z.mp4"
    asked = ["still", "--rules", "stone", "--fractal", 1, "--scale", 3, "--size", "200x120",
             "--steps", 30, "--level-steps", 10, "--quiet"]  # fmt: skip
    assert run(*asked, "-o", out, "--zoom", clip).exit_code == 0
    with Image.open(out) as image:
        assert image.size == (200, 120)
        settings = json.loads(image.text["ncavideo"])  # type: ignore[attr-defined]
    assert (settings["fractal"], settings["weights"], settings["cell"]) == (1, {"stone": 1.0}, 1)
    probe = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", str(clip)]
    (stream,) = json.loads(subprocess.run(probe, capture_output=True, check=True).stdout)["streams"]
    assert (stream["width"], stream["height"]) == (200, 120)
    assert (stream["codec_name"], stream["nb_read_packets"]) == ("h264", "120")
    first = tmp_path / "first.png"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(clip), "-frames:v", "1", str(first)], check=True
    )
    whole, shown = (read(p, "L") for p in (out, first))
    assert np.abs(whole - shown).mean() < 8
    assert run(*asked, "-o", tmp_path / "again.png").exit_code == 0
    assert (tmp_path / "again.png").read_bytes() == out.read_bytes()


@pytest.mark.parametrize("shape", [(721, 1283), (720, 1280), (501, 400)])
def test_a_zoom_goes_straight_into_the_middle(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a fiftieth of a pixel, also where it goes over to a finer copy of the picture."""
    monkeypatch.setattr("ncavideo.still.zoom.MOST_SIDE", 160)
    height, width = shape

    def scene(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        y, x = y - (height - 1) / 2, x - (width - 1) / 2
        return 128 + 50 * np.sin(x / 9 + y / 30) + 50 * np.sin(y / 10 - x / 40 + 1)

    grey = scene(*np.mgrid[:height, :width].astype(float))
    # Rounded at random: where slopes are slight, steps of plain rounding would look like moves.
    dither = np.random.default_rng(2).random(shape)
    picture = (grey + dither)[..., None].astype(np.uint8).repeat(3, 2)
    count, worst = 60, 0.0
    for index, frame in enumerate(zoom.frames(picture, count)):
        high, wide = frame.shape[:2]
        scale = wide / width * (zoom.CLOSEST * width / wide) ** (index / (count - 1))
        y, x = np.mgrid[:high, :wide].astype(float)
        y, x = (y - (high - 1) / 2) / scale, (x - (wide - 1) / 2) / scale
        expected = scene(y + (height - 1) / 2, x + (width - 1) / 2)
        slopes = np.gradient(expected)
        # The edge has nothing beyond it to be read there.
        parts = [p[2:-2, 2:-2].ravel() for p in (expected, *slopes, np.ones_like(expected))]
        found = np.linalg.lstsq(np.stack(parts, 1), frame[2:-2, 2:-2, 1].ravel(), rcond=None)[0]
        worst = max(worst, *np.abs(found[1:3] / found[0]))
    assert worst < 0.02, worst


def test_what_cannot_be_tiled_is_refused() -> None:
    with pytest.raises(UserError, match="at most 64 cells"):
        fractal(tile=64, edge="wrap")
    assert fractal(tile=170, edge="wrap").shape == (110, 170, 3)


# Files


def test_a_tile_has_no_seam(tmp_path: Path) -> None:
    for cell in (1, 2, 3):
        out = tmp_path / f"t{cell}.png"
        asked = ["still", "--rules", "moss", "--edge", "wrap", "--size", "120x90", "--cell", cell,
                 "--steps", 200, "-o", out, "--quiet"]  # fmt: skip
        assert run(*asked).exit_code == 0
        picture = read(out)
        for axis in (0, 1):
            seam = np.abs(np.take(picture, 0, axis) - np.take(picture, -1, axis)).mean()
            inside = np.abs(np.diff(picture, axis=axis)).mean(axis=tuple({0, 1, 2} - {axis}))
            assert seam < inside.max() * 1.05
    result = run(*asked, "-o", tmp_path / "x.png", "--size", "121x90")
    assert result.exit_code == 2
    assert "whole cells" in result.stderr


def test_sixteen_bits_and_light(tmp_path: Path) -> None:
    import OpenEXR

    asked = ["still", "--rules", "water", "--size", "64x48", "--steps", 100, "--quiet", "-o"]
    for name, more in (("a.png", []), ("d.png", ["--depth", 16]), ("d.tif", ["--depth", 16]),
                       ("l.exr", []), ("s.jpg", []), ("s.webp", [])):  # fmt: skip
        assert run(*asked, tmp_path / name, *more).exit_code == 0, name
    shallow = read(tmp_path / "a.png").astype(int)
    for name in ("d.png", "d.tif"):
        deep = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)[..., ::-1]
        assert deep.dtype == np.uint16
        assert len(np.unique(deep)) > 256
        assert np.abs(deep / 257.0 - shallow).max() <= 0.51
    with Image.open(tmp_path / "d.png") as image:
        assert "water" in json.loads(image.text["ncavideo"])["weights"]  # type: ignore[attr-defined]
    light = OpenEXR.File(str(tmp_path / "l.exr")).channels()["RGB"].pixels
    assert light.dtype == np.float32
    deep = cv2.imread(str(tmp_path / "d.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert np.allclose(light, linear(deep), atol=1e-6)
    assert linear(np.array([0, 65535], np.uint16)).tolist() == [0, 1]
    assert linear(np.array([0.5 * 65535], np.uint16))[0] == pytest.approx(0.214, abs=1e-3)


def test_a_photograph_becomes_texture(tmp_path: Path) -> None:
    photo = tmp_path / "p.png"
    halves = np.zeros((96, 160, 3), np.uint8)
    halves[:, 80:] = 255
    Image.fromarray(halves).save(photo)
    out = tmp_path / "o.png"
    asked = ["still", "--picture", photo, "--cell", 2, "--quiet", "--shade", 0, "--light", 0.2]
    assert run(*asked, "--rules", "fire,water", "-o", out).exit_code == 0
    picture = read(out)
    assert picture.shape == halves.shape
    dark, bright = picture[:, :72].mean((0, 1)), picture[:, 88:].mean((0, 1))
    assert bright[0] > bright[2] + 30
    assert dark[2] > dark[0]
    assert (
        run(*asked, "--rules", "fire,water", "--detail", 1, "-o", tmp_path / "d.png").exit_code == 0
    )
    assert (read(tmp_path / "d.png") != picture).mean() > 0.05
    small = [*asked, "--rules", "fire", "--control", "edges", "--size", "80x48"]
    assert run(*small, "-o", tmp_path / "s.png").exit_code == 0
    assert read(tmp_path / "s.png").shape[:2] == (48, 80)


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "there.png").write_text("mine")
    (tmp_path / "no.jpg").write_text("no picture")
    ok = tmp_path / "o.png"
    for arguments, said in (
        (["--rules", "moss", "-o", tmp_path / "there.png"], "--overwrite"),
        (["--rules", "moss", "-o", tmp_path / "a.bmp"], "must end in"),
        (["--rules", "moss", "-o", tmp_path / "a.jpg", "--depth", 16], "bits a channel"),
        (["--rules", "moss", "-o", tmp_path / "no" / "a.png"], "there is no folder"),
        (["--rules", "moss", "-o", ok, "--fractal", 13], "--fractal"),
        (["--rules", "moss", "-o", ok, "--fractal", 6], "fewer levels"),
        (["--rules", "moss", "-o", ok, "--fractal", 2, "--scale", 1], "--scale"),
        (["--rules", "moss", "-o", ok, "--size", "90000x90000"], "--size"),
        (["--rules", "moss", "-o", ok, "--edge", "mirror"], "--edge must be reflect or wrap"),
        (["--rules", "moss", "-o", ok, "--cell", 0], "--cell must lie between 1 and 256"),
        (["--rules", "moss", "-o", ok, "--zoom", tmp_path / "z.gif"], "must end in"),
        (["--rules", "moss=0,fire=0", "-o", ok], "no rule has a weight above 0"),
        (["--rules", "moss=0.8,fire=0.3", "-o", ok], "sum to at most 1"),
        (["--rules", "moss", "-o", ok, "--shade", 1], "--picture"),
        (["--rules", "moss", "-o", ok, "--detail", 1], "--picture"),
        (["--rules", "moss=1", "-o", ok, "--picture", tmp_path / "no.jpg"], "how much of each"),
        (["--rules", "moss", "-o", ok, "--picture", tmp_path / "no.jpg"], "can be read"),
        (["--rules", "moss", "-o", ok, "--picture", tmp_path / "gone.jpg"], "there is no picture"),
    ):
        result = run("still", *arguments)
        assert result.exit_code == 2, (arguments, result.output)
        assert said in result.stderr, result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["no.jpg", "there.png"]


def test_a_row_of_the_sheet_is_full_without_lights_too() -> None:
    sheet = np.array(sheet_picture([open_ruleset("tiny")]))
    height = LABEL + TILE
    assert sheet.shape == (3 * height, 6 * TILE, 3)
    for row in range(3):
        end = sheet[row * height + LABEL : (row + 1) * height, -TILE:]
        assert end.std() > 20
