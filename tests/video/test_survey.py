"""Frames that stand for a clip's levels."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import av
import pytest
from av.video.stream import VideoStream

from ncavideo.video import survey
from ncavideo.video.reader import main_video


@pytest.fixture(scope="module", params=["mp4", "h264"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clip with one key frame and B-frames, with and without times."""
    path = tmp_path_factory.mktemp("survey") / f"clip.{request.param}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25",
         "-frames:v", "100", "-c:v", "libx264", "-g", "1000", "-bf", "3", "-pix_fmt", "yuv420p",
         str(path)],
        check=True,
    )  # fmt: skip
    return path


def digests(path: Path) -> list[str]:
    return [hashlib.sha256(frame.tobytes()).hexdigest() for frame in survey.survey(path)]


def test_the_frames_do_not_depend_on_threads(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in (1, 2, 8):

        def limited(container: av.container.InputContainer, path: Path) -> VideoStream:
            stream = main_video(container, path)
            stream.codec_context.thread_count = threads  # noqa: B023
            return stream

        monkeypatch.setattr(survey, "main_video", limited)
        found.append(digests(clip))
    assert found[0] == found[1] == found[2]
    # Each fifteenth of a hundred, or the next that others need.
    assert len(found[0]) == len(set(found[0])) == 7
