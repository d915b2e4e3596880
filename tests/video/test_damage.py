"""What of a clip cannot be decoded: how much is told, and of what part."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest
from click.testing import CliRunner
from material import ffmpeg

from ncavideo.cli.main import main
from ncavideo.video.reader import VideoReader

pytestmark = pytest.mark.slow
BROKEN = range(13, 21)  # frames, of 25 a second: from 0.52 to 0.84 seconds


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of one second, each frame of which is a keyframe, with some of them overwritten."""
    path = tmp_path_factory.mktemp("clips") / "damaged.mp4"
    source = "testsrc=size=96x64:rate=25:duration=1"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-g", "1", "-pix_fmt", "yuv420p", path)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for index in BROKEN:
        begin, size = packets[index]
        assert begin is not None
        data[begin : begin + size] = bytes(size)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("start", "duration", "frames", "lost"),
    [
        (None, None, 17, 8),
        (None, 0.48, 12, 0),
        (None, 0.52, 13, 0),
        (None, 0.6, 13, 2),
        (0.2, 0.28, 7, 0),
        (0.4, 0.5, 5, 8),
        (0.88, None, 3, 0),
    ],
)
def test_what_is_damaged_outside_of_a_part_is_no_loss(
    damaged: Path, start: float | None, duration: float | None, frames: int, lost: int
) -> None:
    with VideoReader(damaged, start=start, duration=duration) as reader:
        assert sum(1 for _ in reader) == frames
        found = reader.loss
    assert (found.frames if found else 0) == lost


def test_a_batch_remembers_that_a_clip_is_damaged(damaged: Path, tmp_path: Path) -> None:
    words = ["batch", str(damaged), "--out-dir", str(tmp_path), "--rules", "fire", "--cell", "8",
             "--steps", "1", "--warmup", "2", "--json", "--quiet"]  # fmt: skip
    for _ in range(2):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 1
        (job,) = json.loads(result.stdout)["jobs"]
        assert job["state"] == "failed"
        assert "8 frames (0.32 s) are missing" in job["reason"]
        assert job["attempts"] == 1
    (output,) = tmp_path.glob("*.mp4")
    before = output.stat().st_mtime_ns
    assert CliRunner().invoke(main, [*words, "--overwrite"]).exit_code == 1
    assert output.stat().st_mtime_ns > before
