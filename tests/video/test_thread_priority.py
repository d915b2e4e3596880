"""An encoder leaves the priorities of this process alone."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from ncavideo.cli.main import main
from ncavideo.util.thread_priority import TASKS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's scheduling")


@pytest.mark.parametrize("codec", ["av1", "h264"])
def test_a_render_stays_ordinary(clip: Path, tmp_path: Path, codec: str) -> None:
    """As root, SVT-AV1 put all that came after a render before everything else on the machine."""
    before = os.sched_getscheduler(0)
    command = ["render", str(clip), "--rules", "fire", "--cell", "8", "--steps", "1", "--warmup",
               "1", "--quiet", "--codec", codec, "-o", str(tmp_path / "out.mp4")]  # fmt: skip
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.stderr
    seen = {os.sched_getscheduler(0)}
    for task in TASKS.iterdir():
        with suppress(ProcessLookupError):  # a thread that ends meanwhile
            seen.add(os.sched_getscheduler(int(task.name)))
    assert seen == {before}
