"""What an encoder does otherwise with large frames."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import pytest
from av.video.frame import PictureType

import ncavideo
from ncavideo.video.codecs import CODECS, LARGE


@pytest.mark.parametrize(
    ("width", "height", "kinds"),
    [(64, LARGE + 2, "IPB"), (LARGE + 2, 64, "IPB"), (LARGE + 2, LARGE + 2, "IP")],
)
def test_b_frames_end_where_they_no_longer_pay(
    width: int, height: int, kinds: str, tmp_path: Path
) -> None:
    clip, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    source = f"testsrc2=s={width}x{height}:r=8:d=1"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, str(clip)], check=True)
    ncavideo.render(clip, rules=("fire",), out=out, steps=1, warmup=1, cell=16)
    with av.open(str(out)) as container:
        found = {PictureType(frame.pict_type).name for frame in container.decode(video=0)}
    assert found == set(kinds)


def test_other_encoders_have_the_same_options_at_any_size() -> None:
    for name, codec in CODECS.items():
        assert (codec.options_for(LARGE) == codec.options_for(LARGE + 1)) == (name != "h264")
