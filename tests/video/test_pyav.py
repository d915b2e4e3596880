"""What PyAV 18 and 19 give differently leaves the readers alike."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from av.sidedata.sidedata import Type
from hypothesis import assume, given
from hypothesis import strategies as st
from material import variable
from PIL import Image, ImageCms

from ncavideo.app.preview_process import facts
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.preview import _times
from ncavideo.video.clip import Clip
from ncavideo.video.codecs import cannot_hold
from ncavideo.video.open_writer import open_writer
from ncavideo.video.pyav import frame_rate, open_output, positive, time_base
from ncavideo.video.reader import ClipInfo, VideoReader
from ncavideo.video.survey import clip_length

pytestmark = pytest.mark.slow

# Pauses that a demuxer's sums in decoding order get wrong: in the middle, and near the end.
MIDDLE = [*range(15), 130, *range(131, 145)]
END = [*range(30), 130, 131]


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_only_what_is_above_zero_is_set(numerator: int, denominator: int) -> None:
    value = positive(SimpleNamespace(numerator=numerator, denominator=denominator))
    if numerator > 0 and denominator > 0:
        assert value == Fraction(numerator, denominator)
        assert type(value) is Fraction
    else:
        assert value is None


def test_nothing_is_not_set() -> None:
    assert positive(None) is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_picture_with_a_colour_profile_ends_no_process(suffix: str, tmp_path: Path) -> None:
    picture = tmp_path / f"profile{suffix}"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (64, 48), (200, 80, 40)).save(picture, icc_profile=profile)
    script = (
        "import gc, sys; from pathlib import Path; from ncavideo.video.reader import VideoReader\n"
        "with VideoReader(Path(sys.argv[1])) as reader: print(len(list(reader)))\n"
        "del reader; gc.collect()"
    )
    command = [sys.executable, "-c", script, str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n")


@pytest.mark.parametrize(
    ("kind", "codec", "advice"),
    [
        ("mp4", "prores", "name an output that ends in .mov or .mkv, or choose another --codec"),
        ("mp4", "ffv1", "name an output that ends in .mkv, or choose another --codec"),
        ("webm", "h264", "ends in .mp4 or .m4v or .mov or .mkv, or choose"),
        ("matroska", "nothing", "matroska cannot hold nothing video: choose another --codec"),
    ],
)
def test_what_can_hold_it_is_named(kind: str, codec: str, advice: str) -> None:
    assert advice in cannot_hold(kind, codec)


@given(st.integers(100, 2**31 - 1))
def test_a_kind_of_side_data_that_pyav_has_no_name_for_is_one(number: int) -> None:
    kind = Type(number)
    assert (kind.name, kind.value) == (f"UNKNOWN_{number}", number)
    assert kind is not Type.DISPLAYMATRIX
    assert Type(Type.DISPLAYMATRIX.value) is Type.DISPLAYMATRIX


@given(*itertools.repeat(st.integers(1, 2**31 - 1), 4))
def test_a_rate_times_a_time_base_is_exact(a: int, b: int, c: int, d: int) -> None:
    # av.AVRational's own product is rounded to 32 bits, in extreme cases to 0.
    make = getattr(av, "AVRational", Fraction)
    stream = SimpleNamespace(average_rate=make(a, b), guessed_rate=None, time_base=make(c, d))
    assume(Fraction(a, b) != Fraction(d, c))
    rate, base = frame_rate(stream), time_base(stream)
    assert rate is not None and base is not None
    assert rate * base == Fraction(a * c, b * d)


def test_a_guess_stands_in_for_a_missing_average() -> None:
    tick = Fraction(1, 1000)
    stream = SimpleNamespace(average_rate=None, guessed_rate=Fraction(24), time_base=tick)
    assert frame_rate(stream) == 24
    stream = SimpleNamespace(
        average_rate=SimpleNamespace(numerator=0, denominator=0), guessed_rate=None, time_base=tick
    )
    assert frame_rate(stream) is None


def test_a_clock_is_no_rate() -> None:
    # As of DV, which counts in 60,000ths, and of WebM from a browser.
    for average, guess, found in ((60000, 30, 30), (60000, 60000, None), (25, 60000, 25)):
        stream = SimpleNamespace(
            average_rate=Fraction(average), guessed_rate=Fraction(guess),
            time_base=Fraction(1, 60000),
        )  # fmt: skip
        assert frame_rate(stream) == found
    # FFmpeg's average of a file without times is its default, not the codec's rate.
    stream = SimpleNamespace(
        average_rate=Fraction(25),
        guessed_rate=Fraction(30000, 1001),
        time_base=Fraction(1, 1200000),
    )  # fmt: skip
    assert frame_rate(stream, counted=True) == Fraction(30000, 1001)
    slow = SimpleNamespace(
        average_rate=Fraction(25), guessed_rate=Fraction(25), time_base=Fraction(1, 25)
    )
    assert frame_rate(slow) == 25


def test_a_clip_is_told_in_fractions(tmp_path: Path) -> None:
    variable(tmp_path / "in.mp4", range(10))
    with VideoReader(tmp_path / "in.mp4") as reader:
        info: ClipInfo = reader.info
    assert {type(info.time_base), type(info.average_rate), type(info.sample_aspect_ratio)} == {
        Fraction
    }


def test_a_closed_reader_asks_its_file_nothing(tmp_path: Path) -> None:
    # PyAV 18 reads freed memory then, PyAV 19 raises, and a decode in progress crashes it.
    variable(tmp_path / "in.mp4", range(40))
    reader = VideoReader(tmp_path / "in.mp4")
    frames = iter(reader)
    next(frames)
    reader.close()
    assert len(list(frames)) <= 1  # one may have been decoded ahead
    assert reader.loss is not None  # the rest never came
    assert reader.trim is None
    reader.close()


@pytest.mark.parametrize("times", [MIDDLE, END], ids=["middle", "end"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_frame_lasts_until_the_next(times: list[int], suffix: str, tmp_path: Path) -> None:
    clip = tmp_path / f"in{suffix}"
    variable(clip, times)
    with VideoReader(clip) as reader:
        base = reader.info.time_base * 25
        frames = [(round(f.pts * base), round((f.duration or 0) * base)) for f in reader]
    assert [pts for pts, _ in frames] == times
    assert [length for _, length in frames[:-1]] == [b - a for a, b in itertools.pairwise(times)]


@pytest.mark.parametrize("times", [MIDDLE, END], ids=["middle", "end"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".avi"])
def test_a_clip_is_as_long_as_its_last_frame_says(
    times: list[int], suffix: str, tmp_path: Path
) -> None:
    clip = tmp_path / f"in{suffix}"
    if suffix == ".avi":
        times = [*range(80)]  # AVI has no times, it counts frames
    variable(clip, times)
    length = (times[-1] + 1) / 25
    # A transport stream's packets do not say how long they last.
    rounding = 0.3 if suffix == ".ts" else 0.05
    assert clip_length(clip) == pytest.approx(length, abs=rounding)
    assert facts(clip).seconds == pytest.approx(length, abs=rounding)
    last = _times(Clip(clip), RenderOptions(("fire",)), 4)[-1]
    assert last == pytest.approx(length * 7 / 8, abs=rounding)


def test_tags_that_are_no_utf8_are_kept_byte_for_byte(tmp_path: Path) -> None:
    title = os.fsdecode(b"caf\xe9 \xff")
    variable(tmp_path / "plain.mp4", range(5))
    clip, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    with av.open(str(tmp_path / "plain.mp4")) as source, open_output(str(clip)) as copy:
        copy.metadata["title"] = title
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    assert b"caf\xe9 \xff" in clip.read_bytes()
    with VideoReader(clip) as reader, open_writer(out, reader) as writer:
        for frame in reader:
            writer.write(frame.rgb, frame.pts, frame.duration)
        writer.close()
    assert b"caf\xe9 \xff" in out.read_bytes()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_short_h265_has_decoding_times(count: int, tmp_path: Path) -> None:
    # x265 gave one and two frames times out of uninitialised memory: MP4 refused some of them.
    variable(tmp_path / "in.mp4", range(count))
    out = tmp_path / "out.mp4"
    for _ in range(8):
        with (
            VideoReader(tmp_path / "in.mp4") as reader,
            open_writer(out, reader, codec="h265", overwrite=True) as writer,
        ):
            for frame in reader:
                writer.write(frame.rgb, frame.pts, frame.duration)
            writer.close()
        with av.open(str(out)) as container:
            packets = [(p.pts, p.dts) for p in container.demux(video=0) if p.size]
        assert len(packets) == count
        delay = max(pts - dts for pts, dts in packets)
        assert all(dts <= pts for pts, dts in packets)
        assert delay <= (0 if count < 3 else 5 * 512)
