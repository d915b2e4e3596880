"""Mattes: what decoders make of every kind of output with alpha."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ncavideo.cli.main import main

pytestmark = pytest.mark.slow

QUICK = ["--steps", "1", "--warmup", "2", "--cell", "4", "--rules", "fire,moss", "--matte"]
WIDTH, HEIGHT = 160, 96
SOURCE = f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration=0.4"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`in.mp4` in 8 bits, `deep.mov` in 10, tagged BT.709; `m.png`: a third each 0, 128 and 255."""
    folder = tmp_path_factory.mktemp("alpha")
    # Not by `-color_primaries` and its like: ffmpeg 7 lets a frame's own tags win.
    tags = ["-vf", "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"]
    first, deep = folder / "in.mp4", folder / "deep.mov"
    for command in (
        ["-f", "lavfi", "-i", SOURCE, "-pix_fmt", "yuv420p", *tags, str(first)],
        ["-i", str(first), "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le", str(deep)],
    ):
        subprocess.run(["ffmpeg", "-v", "error", "-y", *command], check=True)
    for clip in (first, deep):
        tagged = {probe(clip)[key] for key in ("color_space", "color_primaries", "color_transfer")}
        assert tagged == {"bt709"}
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, WIDTH // 3 : 2 * WIDTH // 3], mask[:, 2 * WIDTH // 3 :] = 128, 255
    Image.fromarray(mask).save(folder / "m.png")
    return folder


def control(folder: Path) -> list[str]:
    return ["--control", f"fire=mask:{folder}/m.png", "--control", "off"]


def probe(path: Path) -> dict[str, object]:
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_streams", "-of", "json",
         str(path)],
        check=True, capture_output=True,
    )  # fmt: skip
    stream: dict[str, object] = json.loads(done.stdout)["streams"][0]
    return stream


def ffmpeg_alpha(path: Path, decoder: str | None) -> np.ndarray:
    """Return the alpha of the first frame, 0..1, as ffmpeg decodes it."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", *(["-c:v", decoder] if decoder else []), "-i", str(path),
         "-frames:v", "1", "-vf", "alphaextract", "-pix_fmt", "gray16le", "-f", "rawvideo", "-"],
        check=True, capture_output=True,
    )  # fmt: skip
    return np.frombuffer(done.stdout, "<u2").reshape(HEIGHT, WIDTH) / 65535


def check(alpha: np.ndarray, tolerance: float) -> None:
    third = WIDTH // 3
    np.testing.assert_allclose(alpha[:, : third - 8], 0, atol=tolerance)
    np.testing.assert_allclose(alpha[:, third + 8 : 2 * third - 8], 128 / 255, atol=tolerance)
    np.testing.assert_allclose(alpha[:, 2 * third + 8 :], 1, atol=tolerance)


KINDS = {
    "out.mov": ([], "prores", None, 0.003),
    "out.webm": ([], "vp9", "libvpx-vp9", 0.03),
    "out.mkv": (["--codec", "ffv1"], "ffv1", None, 0.002),
    "vp9.mkv": ([], "vp9", "libvpx-vp9", 0.03),
    "prores.mkv": (["--codec", "prores_ks"], "prores", None, 0.003),
}
ODD: dict[str, str | None] = {"odd.webm": "libvpx-vp9", "odd.mov": None, "odd_%03d.png": None}
NO_ALPHA: dict[str, list[str]] = {
    "o.mp4": [],
    "o.gif": [],
    "h264.mov": ["--codec", "h264"],
    "av1.webm": ["--codec", "av1"],
    # FFmpeg would write both, and drop the alpha.
    "vp9.mp4": ["--codec", "vp9"],
    "opaque.mov": ["--pix-fmt", "yuv422p10le"],
    "opaque.webm": ["--pix-fmt", "yuv420p"],
    "vp9.mov": ["--codec", "libvpx-vp9"],
    "ffv1.mov": ["--codec", "ffv1"],
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("clip", ["in.mp4", "deep.mov"])
def test_decoders_agree_on_alpha(name: str, clip: str, material: Path, tmp_path: Path) -> None:
    options, codec, decoder, tolerance = KINDS[name]
    out = tmp_path / name
    result = run("render", material / clip, "-o", out, *QUICK, *control(material), *options)
    assert result.exit_code == 0, result.stderr
    stream = probe(out)
    assert stream["codec_name"] == codec
    check(ffmpeg_alpha(out, decoder), tolerance)
    deep = clip == "deep.mov"
    if codec == "vp9":
        assert stream["tags"]["alpha_mode"] == "1"  # type: ignore[index]
    else:
        assert "a" in str(stream["pix_fmt"])
        bits = int(str(stream.get("bits_per_raw_sample", 0)))
        assert bits >= (10 if deep or codec == "prores" else 8)
        with av.open(str(out)) as container:
            frames = list(container.decode(video=0))
        check(frames[0].to_ndarray(format="rgba64le")[..., 3] / 65535, tolerance)
    if codec != "ffv1":
        assert stream["color_space"] == "bt709"
        assert stream["color_primaries"] == "bt709"
        assert stream["color_transfer"] == "bt709"
    with av.open(str(out)) as container:
        times = sorted(float(p.pts * p.time_base) for p in container.demux(video=0) if p.size)
    np.testing.assert_allclose(times, np.arange(10) / 25, atol=2e-3)


@pytest.mark.parametrize(("clip", "kind"), [("in.mp4", np.uint8), ("deep.mov", np.uint16)])
def test_numbered_pictures_with_alpha(
    clip: str, kind: type, material: Path, tmp_path: Path
) -> None:
    import cv2

    result = run("render", material / clip, "-o", tmp_path / "f_%03d.png", *QUICK,
                 *control(material))  # fmt: skip
    assert result.exit_code == 0, result.stderr
    picture = cv2.imread(str(tmp_path / "f_001.png"), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == kind
    assert picture.shape == (HEIGHT, WIDTH, 4)
    check(picture[..., 3] / np.iinfo(kind).max, 0.003)


@pytest.mark.parametrize("name", NO_ALPHA)
def test_outputs_without_alpha(name: str, material: Path, tmp_path: Path) -> None:
    result = run("render", material / "in.mp4", "-o", tmp_path / name, *QUICK, *NO_ALPHA[name])
    assert result.exit_code == 2
    assert "cannot hold alpha" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.webm", "vp9.mkv"])
def test_every_block_of_vp9_has_its_alpha(name: str, material: Path, tmp_path: Path) -> None:
    """Matroska keeps VP9's alpha beside each frame, in a BlockAdditional with BlockAddID 1."""
    out = tmp_path / name
    result = run("render", material / "in.mp4", "-o", out, *QUICK, *control(material))
    assert result.exit_code == 0, result.stderr
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_packets", "-of", "json",
         str(out)],
        check=True, capture_output=True,
    )  # fmt: skip
    packets = json.loads(done.stdout)["packets"]
    assert len(packets) == 10
    for packet in packets:
        kinds = [side["side_data_type"] for side in packet.get("side_data_list", [])]
        assert "Matroska BlockAdditional" in kinds


@pytest.mark.parametrize("name", ["out.mov", "out.webm", "out.mkv"])
def test_a_matte_lasts_as_long_as_its_source(name: str, material: Path, tmp_path: Path) -> None:
    options = KINDS[name][0]
    out = tmp_path / name
    result = run("render", material / "in.mp4", "-o", out, *QUICK, *control(material), *options)
    assert result.exit_code == 0, result.stderr
    with av.open(str(out)) as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(0.4, abs=2e-3)


@pytest.mark.parametrize("name", ODD)
def test_odd_sizes_keep_their_alpha(name: str, tmp_path: Path) -> None:
    clip, decoder = tmp_path / "odd.mkv", ODD[name]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", SOURCE, "-vf", "scale=161:97,format=bgr0",
         "-c:v", "ffv1", str(clip)],
        check=True,
    )  # fmt: skip
    Image.fromarray(np.full((97, 161), 128, np.uint8)).save(tmp_path / "m.png")
    result = run("render", clip, "-o", tmp_path / name, *QUICK, *control(tmp_path))
    assert result.exit_code == 0, result.stderr
    done = subprocess.run(
        ["ffmpeg", "-v", "error", *(["-c:v", decoder] if decoder else []), "-i",
         str(tmp_path / name), "-frames:v", "1", "-vf", "alphaextract", "-pix_fmt", "gray",
         "-f", "rawvideo", "-"],
        check=True, capture_output=True,
    )  # fmt: skip
    alpha = np.frombuffer(done.stdout, np.uint8).reshape(97, 161)
    np.testing.assert_allclose(alpha, 128, atol=4)


def test_a_deep_source_that_loses_bits_is_told_of(material: Path, tmp_path: Path) -> None:
    result = run("render", material / "deep.mov", "-o", tmp_path / "o.webm", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "becomes 8-bit VP9" in result.stderr
