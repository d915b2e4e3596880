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

from ncavideo.cli import main

QUICK = ["--steps", "1", "--warmup", "2", "--cell", "4", "--rules", "fire,moss", "--matte"]
WIDTH, HEIGHT = 160, 96
SOURCE = f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration=0.4"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`in.mp4` in 8 bits, `deep.mov` in 10, tagged BT.709; `m.png`: a third each 0, 128 and 255."""
    folder = tmp_path_factory.mktemp("alpha")
    tags = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    first, deep = folder / "in.mp4", folder / "deep.mov"
    for command in (
        ["-f", "lavfi", "-i", SOURCE, "-pix_fmt", "yuv420p", *tags, str(first)],
        ["-i", str(first), "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le", str(deep)],
    ):
        subprocess.run(["ffmpeg", "-v", "error", "-y", *command], check=True)
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


@pytest.mark.parametrize(
    ("name", "options"),
    [("o.mp4", []), ("o.gif", []), ("o.mov", ["--codec", "h264"]), ("o.webm", ["--codec", "av1"])],
)
def test_outputs_without_alpha(
    name: str, options: list[str], material: Path, tmp_path: Path
) -> None:
    result = run("render", material / "in.mp4", "-o", tmp_path / name, *QUICK, *options)
    assert result.exit_code == 2
    assert "cannot hold alpha" in result.stderr
    assert list(tmp_path.iterdir()) == []
