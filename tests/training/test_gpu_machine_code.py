"""What the compiler makes of the kernels for an H100, seen without one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("triton") is None, reason="there is no Triton for this platform"
    ),
]

COMPILE = """
import json, sys, torch
from training_kernels import Plan, build, examine, kernels

for shape, edge in json.loads(sys.argv[1]):
    plan = Plan(*shape, 8, 192, 192, edge, torch.float16, torch.bfloat16)
    for kernel in kernels(plan):
        built = build(kernel)
        report = examine(built)
        uses = "wgmma" in built.asm["ptx"]
        print(json.dumps([kernel.name, report.spilled, report.shared, report.unwritten, uses]))
"""


def test_no_kernel_reads_what_nothing_wrote(tmp_path: Path) -> None:
    """A fault of ptxas 12.8; shared memory fits an H100, and products are on tensor cores."""
    cases = [((12, 5, 96), "reflect"), ((16, 5, 128), "wrap")]
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    env["PYTHONPATH"] = os.pathsep.join([str(BENCHMARKS), *sys.path])
    env["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, json.dumps(cases)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == 6 * len(cases)
    for name, spilled, shared, unwritten, uses_tensor_cores in reports:
        assert unwritten == [], name
        assert shared <= 227 * 1024, name
        assert spilled <= 64, name
        assert uses_tensor_cores == (name in ("forward", "back", "weight")), name


def test_a_read_of_what_nothing_wrote_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from sass import unwritten

    sound = """
        /*0000*/                   ULDC.64 UR4, c[0x0][0x208] ;
        /*0010*/                   R2UR UR8, R2 ;
        /*0020*/                   UIADD3 UR9, UP0, UR8, 0x20, URZ ;
        /*0030*/              @!P0 LDG.E.128 R4, desc[UR4][R8.64] ;
        /*0040*/                   UMOV UR10, UR5 ;
        /*0050*/                   UMOV UR11, 0x40000040 ;
        /*0060*/                   HGMMA.64x32x16.F32 R24, gdesc[UR8], !UPT ;
    """
    assert unwritten(sound) == []
    bad = sound.replace("R2UR UR8, R2", "R2UR UR12, R2")
    assert unwritten(bad)[0] == "UIADD3 UR9, UP0, UR8, 0x20, URZ ;"
    assert unwritten(sound.replace("UMOV UR11", "UMOV UR20"))[0].startswith("HGMMA")
