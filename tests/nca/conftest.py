"""What tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruleset_files import Make


@pytest.fixture
def good(tmp_path: Path, make_ruleset: Make) -> Path:
    path = tmp_path / "good.safetensors"
    make_ruleset().save(path)
    return path
