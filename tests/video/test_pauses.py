"""Parts of a clip that begin or end in a pause, as screen recordings have them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from situations import RECORDED, screen_recording

from ncavideo.util.errors import UserError
from ncavideo.video.open_writer import open_writer
from ncavideo.video.reader import VideoReader

pytestmark = pytest.mark.slow

# Start, duration, and the frames' numbers and times on the output's timeline.
PARTS = [
    (5.0, None, [(2, 0.0), (3, 5.4), (4, 5.4166), (5, 5.5)]),
    (5.0, 3.0, [(2, 0.0)]),
    (0.05, None, [(2, 0.0), (3, 10.35), (4, 10.3666), (5, 10.45)]),
    (None, 4.0, [(0, 0.0), (1, 0.0166), (2, 0.0331)]),
    (10.4, None, [(3, 0.0), (4, 0.0166), (5, 0.1)]),
    (10.41, None, [(4, 0.0), (5, 0.0834)]),  # no pause: it begins with its first frame
]


@pytest.fixture(scope="module", params=["mp4", "ts"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("pauses") / f"recorder.{request.param}"
    screen_recording(path)
    return path


def packets(path: Path, kind: str) -> list[tuple[float, float]]:
    command = ["ffprobe", "-v", "error", "-select_streams", kind, "-show_packets", "-of", "json"]
    found = subprocess.run([*command, str(path)], check=True, capture_output=True).stdout
    return sorted(
        # How long a first packet of sound lasts, ffprobe may not know yet.
        (float(packet["pts_time"]), float(packet.get("duration_time", 0)))
        for packet in json.loads(found)["packets"]
    )


@pytest.mark.parametrize(("start", "duration", "expected"), PARTS)
def test_a_part_shows_what_is_on_screen(
    start: float | None,
    duration: float | None,
    expected: list[tuple[int, float]],
    clip: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out.mkv"
    shown = []
    with (
        VideoReader(clip, start=start, duration=duration) as reader,
        open_writer(out, reader) as writer,
    ):
        for frame in reader:
            shown.append(round(float(frame.rgb.mean()) / 40))
            writer.write(frame.rgb, frame.pts, frame.duration)
        writer.close()
    assert reader.loss is None
    assert shown == [number for number, _ in expected]
    found = packets(out, "v")
    assert [time for time, _ in found] == pytest.approx([t for _, t in expected], abs=2.1e-3)
    if duration is not None:  # the last one stays until the part's end
        assert sum(found[-1]) == pytest.approx(duration, abs=2.1e-3)
    sound = packets(out, "a")
    length = duration or RECORDED[-1] + 0.16 - (start or 0)
    assert -0.03 < sound[0][0] < 0.03
    assert sum(sound[-1]) == pytest.approx(length, abs=0.05)


def test_a_start_behind_the_last_frame_is_told(clip: Path) -> None:
    with pytest.raises(UserError, match="has no frame at 11 s"):
        VideoReader(clip, start=11.0)
