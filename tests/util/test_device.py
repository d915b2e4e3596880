"""The cores and the memory that a process may use."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ncavideo.util import device


@pytest.fixture
def lay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that lays out control groups as Linux shows them.

    Its arguments: the process' lines in /proc/self/cgroup, and the files below /sys/fs/cgroup.
    """

    def lay_out(lines: str, files: dict[str, str]) -> None:
        device._quota.cache_clear()
        (tmp_path / "self").write_text(lines)
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(device, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(device, "PROCESS_CGROUPS", tmp_path / "self")
    yield lay_out
    device._quota.cache_clear()


@pytest.mark.parametrize(
    ("lines", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "200000 100000\n"}, 2),
        ("0::/../of/the/host\n", {"cpu.max": "400000 100000\n"}, 4),
        (
            "4:memory:/m\n3:cpu,cpuacct:/c\n0::/\n",
            {"cpu/c/cpu.cfs_quota_us": "250000\n", "cpu/c/cpu.cfs_period_us": "100000\n"},
            2.5,
        ),
        (
            "1:cpu:/docker/0123\n",  # as the host calls what is the root in here
            {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "50000\n"},
            1,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "9\n"}, None),
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
    ],
)  # fmt: skip
def test_a_control_groups_quota_is_found(
    lay_out: Callable[..., None], lines: str, files: dict[str, str], quota: float | None
) -> None:
    lay_out(lines, files)
    assert device._quota() == quota


@pytest.mark.parametrize(
    ("quota", "most"), [("5000", 1), ("100000", 1), ("100001", 2), ("99900000", None)]
)
def test_a_quota_bounds_the_cores(
    lay_out: Callable[..., None], quota: str, most: int | None
) -> None:
    lay_out("0::/\n", {})
    allowed = device.cores()
    lay_out("0::/\n", {"cpu.max": f"{quota} 100000\n"})
    assert device.cores() == (allowed if most is None else min(most, allowed))


def test_a_process_that_is_kept_to_one_core_has_one() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("there is no keeping to cores here")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, [min(before)])
        assert device.cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_free_memory_is_what_linux_says() -> None:
    facts = Path("/proc/meminfo")
    if not facts.exists():
        pytest.skip("this is not Linux")
    said = re.search(r"MemAvailable: *(\d+) kB", facts.read_text())
    assert said is not None
    assert device.free_memory() == pytest.approx(1024 * int(said[1]), rel=0.2)
