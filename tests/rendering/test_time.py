"""Held frames, loops, looks and previews, from end to end."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ncavideo.cli.main import main
from ncavideo.rendering.look_file import OPTIONS, load_look, save_look
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError
from ncavideo.video.colour import UNSPECIFIED, Colour
from ncavideo.video.loop import looped
from ncavideo.video.reader import ClipInfo, SourceFrame
from ncavideo.video.timeline import Shot, shots

pytestmark = pytest.mark.slow

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"
LOOKS = Path(__file__).parents[2] / "examples" / "looks"
QUICK = ["--steps", "1", "--warmup", "2", "--cell", "8"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def probe(path: Path, entries: str, stream: str = "v:0") -> list[str]:
    command = ["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", entries]
    done = subprocess.run(
        [*command, "-of", "csv=p=0", str(path)], check=True, capture_output=True, text=True
    )
    return done.stdout.replace(",", "\n").split()


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 25 frames a second, with sound."""
    path = tmp_path_factory.mktemp("clips") / "in.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=2",
           "-f", "lavfi", "-i", "sine=frequency=440:duration=2", path)  # fmt: skip
    return path


def clip_info(rate: int = 25, tick: Fraction = Fraction(1, 600)) -> ClipInfo:
    colour = Colour(2, UNSPECIFIED, UNSPECIFIED, False, None)  # type: ignore[arg-type]
    return ClipInfo(Path(), 4, 4, Fraction(1), tick, Fraction(rate), None, None, 0, 8, colour)


@given(
    gaps=st.lists(st.integers(1, 100), min_size=1, max_size=12),
    before=st.floats(0, 2),
    after=st.floats(0, 2),
)
@settings(max_examples=80)
def test_held_frames_come_at_their_times(gaps: list[int], before: float, after: float) -> None:
    info = clip_info()
    stamps = np.cumsum(gaps).tolist()
    picture = np.zeros((4, 4, 3), np.uint8)
    frames = [
        SourceFrame(picture + index, stamp, None, float(stamp * info.time_base), index)
        for index, stamp in enumerate(stamps)
    ]
    found = list(shots(frames, info, before=before, after=after))
    held = round(before * 25)
    assert len(found) == held + len(frames) + round(after * 25)
    assert [s.pts for s in found[held : held + len(frames)]] == stamps
    assert all(b.pts > a.pts for a, b in itertools.pairwise(found))
    assert found[0].moment == pytest.approx(-held / 25)
    assert found[held].moment == 0
    for shot in found:
        assert shot.moment == pytest.approx(float((shot.pts - stamps[0]) * info.time_base))
    assert all((s.rgb == 0).all() for s in found[:held])


def test_before_and_after(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    result = run("render", clip, "-o", out, "--rules", "fire,moss", *QUICK,
                 "--before", 0.4, "--after", 0.2)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    times = sorted(map(float, probe(out, "packet=pts_time")))
    np.testing.assert_allclose(times, np.arange(65) / 25, atol=1e-3)
    # The sound begins with the clip and not with the held frame.
    assert float(probe(out, "packet=pts_time", "a:0")[0]) == pytest.approx(0.4, abs=0.03)


def test_keys_count_from_the_first_frame(clip: Path, tmp_path: Path) -> None:
    """Opacity 0 shows the source, and held frames are before the time 0."""
    out = tmp_path / "out.mkv"
    key = "opacity@-0.2=1,0=0"
    result = run("render", clip, "-o", out, "--rules", "fire,moss", *QUICK, "--keyframes", key,
                 "--codec", "ffv1", "--before", 0.2, "--start", 1, "--duration", 0.2)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    frames, source = frames_of(out).astype(float), frames_of(clip)[25:30].astype(float)
    assert len(frames) == 10
    np.testing.assert_allclose(frames[5:], source, atol=2)
    away = np.abs(frames[:5] - source[0]).mean((1, 2, 3))
    assert away[0] > 20
    assert (np.diff(away) < 0).all()


# Loops


def painted(count: int, size: tuple[int, int] = (12, 16)) -> list[tuple[Shot, np.ndarray]]:
    """Return frames whose value is their number."""
    picture = np.zeros((*size, 3), np.uint8)
    return [(Shot(picture, i / 25, i / 25, 0.04, i, 1), picture + i) for i in range(count)]


@pytest.mark.parametrize(("count", "seconds"), [(50, 0.4), (50, 0.2), (25, 0.48), (41, 0.8)])
def test_the_end_meets_the_beginning(count: int, seconds: float) -> None:
    head = int(np.ceil(seconds * 25 - 1e-9))
    found = list(looped(iter(painted(count)), seconds))
    assert [shot.pts for shot, _ in found] == list(range(head, count))
    middle = [frame for shot, frame in found if shot.pts < count - head]
    for number, frame in enumerate(middle, start=head):
        assert (frame == number).all()
    tail = [frame for _, frame in found][-head:]
    for place, frame in enumerate(tail):
        assert frame.min() >= min(place, count - head + place)
        assert frame.max() <= max(place, count - head + place)
    # More and more places have taken over, and the last frame leads to the first one shown.
    shares = [float((f < (count - head + p) - 1).mean()) for p, f in enumerate(tail)]
    assert all(b >= a for a, b in itertools.pairwise(shares))
    if head >= 10:
        assert abs(float(tail[-1].mean()) - (head - 1)) < 0.2 * count


def test_a_clip_too_short_to_loop() -> None:
    with pytest.raises(UserError, match="too short to loop"):
        list(looped(iter(painted(20)), 0.6))


def test_a_looped_render(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "loop.mp4"
    result = run("render", clip, "-o", out, "--rules", "fire,moss", *QUICK, "--loop", 0.4)
    assert result.exit_code == 0, result.stderr
    frames = frames_of(out).astype(float)
    assert len(frames) == 40
    steps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    seam = float(np.abs(frames[0] - frames[-1]).mean())
    assert seam < 2 * steps.max()
    assert max(map(float, probe(out, "packet=pts_time", "a:0"))) < 1.62


def test_a_loop_has_no_held_frames(clip: Path, tmp_path: Path) -> None:
    result = run("render", clip, "-o", tmp_path / "o.mp4", "--rules", "fire,moss", *QUICK,
                 "--loop", 0.4, "--before", 1)  # fmt: skip
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


# Looks


def test_a_look_says_the_same_as_options(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "m.png")
    options = RenderOptions(
        ("fire", "moss"), control=("fire=mask:" + str(tmp_path / "m.png"), "luminance"), shade=0.2,
        flow=True, keyframes=("opacity@0=0,1=1",), steps=3, blend="screen", cell=4,
    )  # fmt: skip
    (tmp_path / "looks").mkdir()
    path = tmp_path / "looks" / "a.toml"
    save_look(path, options)
    assert "../m.png" in path.read_text()
    found = RenderOptions(**load_look(path))
    assert found.control[0].endswith("looks/../m.png")
    for name in OPTIONS:
        if name != "control":
            assert getattr(found, name) == getattr(options, name)
    with pytest.raises(UserError, match="exists"):
        save_look(path, options)


@pytest.mark.parametrize(
    "control",
    [
        "mask:{}m.png,blur=3", "mask:{}m_%03d.png@12?loop#alpha", "labels:{}m.png:2,invert",
        "segment:person@{}w.pth", "segment:person@fcn_resnet50={}w.pth,smooth=0.5",
        "segment:person@hf:{}model",
    ],
)  # fmt: skip
def test_every_path_of_a_look_is_relative_to_it(control: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "looks").mkdir()
    for name in ("m.png", "w.pth"):
        (tmp_path / name).touch()
    whole = control.format(f"{tmp_path}/")
    path = tmp_path / "looks" / "a.toml"
    save_look(path, RenderOptions(("fire",), control=(f"fire={whole}",), light_control=whole))
    assert str(tmp_path) not in path.read_text()
    found = RenderOptions(**load_look(path))
    there = control.format(f"{tmp_path}/looks/../")
    assert (found.control, found.light_control) == ((f"fire={there}",), there)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("rules = 3", "list of texts"),
        ("rules = ['fire']\nsteps = 'many'", "whole number"),
        ("rules = ['fire']\nflow = 1", "true or false"),
        ("rules = ['fire']\nshade = true", "a number"),
        ("rules = ['fire']\nsparkle = 1", "unknown key 'sparkle'"),
        ("rules = ['fire']\ncodec = 'h264'", "unknown key"),
        ("format = 2", "format 2"),
        ("rules = [", "not TOML"),
        ("rules = ['fire']\nsteps = " + "9" * 5000, "not TOML"),
        ("[look]\nrules = []", "unknown key"),
    ],
)
def test_looks_that_cannot_be(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=match):
        load_look(path)
    result = run("render", CLIP, "--look", path, "-o", tmp_path / "o.mp4")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@settings(max_examples=100)
def test_any_bytes_are_a_look_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("look") / "x.toml"
    path.write_bytes(data)
    try:
        load_look(path)
    except UserError as error:
        assert str(error)


def test_the_command_line_comes_before_the_look(clip: Path, tmp_path: Path) -> None:
    look = tmp_path / "look.toml"
    look.write_text('rules = ["water", "magma"]\nshade = 0.9\nsteps = 1\nwarmup = 2\ncell = 8\n')
    saved = tmp_path / "saved.toml"
    result = run("render", clip, "-o", tmp_path / "o.mp4", "--look", look, "--shade", 0.1,
                 "--duration", 0.1, "--save-look", saved, "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["rules"] == ["water", "magma"]
    again = RenderOptions(**load_look(saved))
    assert (again.rules, again.shade, again.steps) == (("water", "magma"), 0.1, 1)
    missing = run("render", clip, "--look", tmp_path / "none.toml")
    assert missing.exit_code == 2


@pytest.mark.parametrize("look", sorted(LOOKS.glob("*.toml")), ids=lambda p: p.stem)
def test_the_looks_that_ship_work(look: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    result = run("render", clip, "-o", out, "--look", look, *QUICK, "--duration", 0.2)
    assert result.exit_code == 0, result.stderr
    assert len(frames_of(out)) == 5


# Previews


def test_a_preview_shows_every_step(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = run("preview", clip, "-o", out, "--rules", "fire,moss,water", "--warmup", 8,
                 "--control", "fire=edges", "--moments", 2, "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    with Image.open(out) as image:
        picture = np.asarray(image)
    # Times at the left, then source, three rules, expression, light and result.
    assert picture.shape == (26 + 2 * 180, 56 + 7 * 320, 3)
    tiles = picture[26:206, 56:].reshape(180, 7, 320, 3).astype(float)
    source = frames_of(clip)[12].astype(float)
    assert np.corrcoef(tiles[::2, 0, ::2].ravel(), source.ravel())[0, 1] > 0.97
    weights = tiles[:, 1:4].mean(-1) / 255
    np.testing.assert_allclose(weights.sum(1), 1, atol=0.03)


@pytest.mark.parametrize("moments", [0, 13])
def test_previews_that_cannot_be(clip: Path, tmp_path: Path, moments: int) -> None:
    result = run("preview", clip, "-o", tmp_path / "o.png", "--rules", "fire,moss",
                 "--moments", moments)  # fmt: skip
    assert result.exit_code == 2
    assert run("preview", clip, "-o", tmp_path / "o.mp4", "--rules", "fire,moss").exit_code == 2


def test_the_finished_frame_of_a_moment(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "frame.png"
    asked = ("--rules", "fire,moss", "--warmup", 8, "--seed", 3)
    assert run("preview", clip, "-o", out, *asked, "--at", 0.5).exit_code == 0
    rendered = tmp_path / "from-there.mkv"
    lossless = ("--codec", "ffv1", "--start", 0.5, "--duration", 0.1)
    assert run("render", clip, "-o", rendered, *asked, *lossless).exit_code == 0
    with Image.open(out) as image:
        picture = np.asarray(image).astype(float)
    first = frames_of(rendered)[0].astype(float)
    assert picture.shape == first.shape
    # The clip has half the colours of the picture.
    assert np.corrcoef(picture.ravel(), first.ravel())[0, 1] > 0.95
    matte = tmp_path / "matte.png"
    assert run("preview", clip, "-o", matte, *asked, "--at", 0.5, "--matte").exit_code == 0
    with Image.open(matte) as image:
        assert (image.mode, image.size) == ("RGBA", first.shape[1::-1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--at", 99), "must lie between 0 and"),
        (("--at", -1), "must lie between 0 and"),
        (("--at", 0.5, "--moments", 2), "either --at or --moments"),
        (("--at", 0.5, "-o", "o.jpg"), "must end in .png"),
    ],
)
def test_moments_that_cannot_be(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = run("preview", clip, "--rules", "fire,moss", *arguments)
    assert refused.exit_code == 2 and says in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_control_itself_can_be_rendered(clip: Path, tmp_path: Path) -> None:
    mask = tmp_path / "m.png"
    picture = np.zeros((90, 160), np.uint8)
    picture[:, :80] = 255
    Image.fromarray(picture).save(mask)
    out = tmp_path / "o.mkv"
    result = run("render", clip, "-o", out, "--rules", "fire,moss", *QUICK, "--codec", "ffv1",
                 "--control", f"mask:{mask}", "--show-control", "--duration", 0.1)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    left, right = frames_of(out)[0][:, :70].mean((0, 1)), frames_of(out)[0][:, 90:].mean((0, 1))
    assert left[0] > left[1] > left[2]  # orange
    assert right[1] > right[2] > right[0]  # green


def test_memory_is_told_before_it_is_taken(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ncavideo.rendering import memory_estimate
    from ncavideo.video.reader import VideoReader

    with VideoReader(clip) as reader:
        info = reader.info
    options = RenderOptions(("fire",), loop=1)
    assert memory_estimate.warning(info, (80, 45), options) is None
    monkeypatch.setattr(memory_estimate, "free_memory", lambda: 100_000_000)
    said = memory_estimate.warning(info, (80, 45), options)
    assert said is not None
    assert "0.1 GB are free" in said
    assert "--loop" in said


def test_help_stays_light() -> None:
    code = "import sys, ncavideo.cli.main; assert not {'torch', 'cv2', 'av'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
