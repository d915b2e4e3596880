"""A sample of the faults; all of them: `python tests/release/faults.py --all`.

Each run is forked from one that has done the same, so that a point takes about a second.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import pytest

HARNESS = Path(__file__).with_name("faults.py")


@pytest.mark.skipif(not hasattr(sys, "setdlopenflags"), reason="the harness forks")
@pytest.mark.skipif(
    int(av.__version__.split(".")[0]) >= 19,
    reason="a scaler of PyAV 19 waits in a forked process for threads that are not there",
)
@pytest.mark.parametrize(("case", "sample"), [("render", 4), ("batch", 6), ("train", 3)])
def test_faults_are_survived(case: str, sample: int) -> None:
    """Each in a process of its own, since it forks: pytest's may have threads."""
    done = subprocess.run(
        [sys.executable, HARNESS, case, "--sample", str(sample)],
        capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{case}: {sample} of" in done.stdout
    assert " 0 failed" in done.stdout
