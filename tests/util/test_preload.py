"""Numba, loaded ahead of its use."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from ncavideo.util.preload import preload
assert "numba" not in sys.modules
preload().join()
assert "numba" in sys.modules
"""


BROKEN = """
import sys
from ncavideo.util.preload import preload
sys.modules["numba"] = None
preload().join()
"""


def test_a_numba_that_cannot_be_loaded_is_not_told_here() -> None:
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, check=True)
    assert done.stderr == b""


def test_numba_is_loaded_when_the_thread_has_ended() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
