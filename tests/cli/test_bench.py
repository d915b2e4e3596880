"""`ncavideo bench`: real measurements, made small."""

from __future__ import annotations

import json

import av
import pytest
from click.testing import CliRunner

from ncavideo.cli import bench
from ncavideo.cli.bench_stages import StageCost, least_time
from ncavideo.cli.main import main
from ncavideo.nca import engines
from ncavideo.nca.ruleset import open_ruleset

pytestmark = pytest.mark.slow


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure little, so that a test does not take minutes."""
    monkeypatch.setattr(bench, "GRID", (12, 20))
    monkeypatch.setattr(bench, "PRODUCT", 64)
    monkeypatch.setattr(bench, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(bench, "SIZES", {"tiny": (64, 48, 5), "small": (96, 64, 4)})


def test_flops_count_every_weight_twice() -> None:
    ruleset = open_ruleset("elements")
    weights = 96 * (4 * 12 + 5) + 12 * 96
    assert bench.flops(ruleset) == 2 * weights + 12 * 72


@pytest.mark.usefixtures("small")
def test_json_holds_every_engine_and_size() -> None:
    done = CliRunner().invoke(main, ["bench", "--device", "cpu", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    on_cpu = [name for name, kind in engines.ENGINES.items() if "cpu" in kind.devices]
    assert [rate["engine"] for rate in report["engines"]] == on_cpu
    assert all(rate["rate"] > 0 for rate in report["engines"])
    assert report["matrix_product_cell_steps"] > 0
    assert [rate["size"] for rate in report["renders"]] == ["tiny", "small"]
    for rate in report["renders"]:
        assert rate["fps"] > 0
        assert list(rate["stages"]) == ["decode", "control", "step", "composite", "encode"]
        for spent in rate["stages"].values():
            assert spent["wall"] > 0
            assert spent["core"] > 0
        assert rate["limit"] in ("cores", *rate["stages"])


@pytest.mark.usefixtures("small")
def test_prints_a_line_for_each_engine_and_size() -> None:
    done = CliRunner().invoke(main, ["bench", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    for word in ("fused", "folded", "torch", "tiny", "small", "encode"):
        assert any(word in line for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "wrong",
    [
        ["--engine", "warp"],
        ["--engine", "triton", "--device", "cpu"],
        ["--device", "tpu"],
        ["--ruleset", "nowhere"],
    ],
    ids=str,
)
def test_unusable_options_are_one_sentence(wrong: list[str]) -> None:
    done = CliRunner().invoke(main, ["bench", *wrong])
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout, "refused before anything is measured"


def test_a_render_waits_for_its_slowest_stage_or_for_a_core() -> None:
    costs = {"control": StageCost(8, 8), "step": StageCost(40, 76), "composite": StageCost(18, 18)}
    assert least_time(costs, 2) == (51, "cores")
    assert least_time(costs, 16) == (40, "step")
    costs["step"] = StageCost(6, 76)
    costs["composite"] = StageCost(60, 60)
    assert least_time(costs, 16) == (15, "composite")  # four frames at once


def test_the_made_up_clip_moves(tmp_path) -> None:
    bench.moving_picture(tmp_path / "clip.mp4", 64, 48, 6)
    with av.open(str(tmp_path / "clip.mp4")) as clip:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in clip.decode(video=0)]
    assert len(frames) == 6
    assert abs(frames[0] - frames[-1]).mean() > 1
