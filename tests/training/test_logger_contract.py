"""The contract of every logger: one class, run over all of `LOGGERS`."""

from __future__ import annotations

import builtins
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ncavideo.training.loggers import LOGGERS, open_logger
from ncavideo.training.loggers.base import Logger
from ncavideo.training.recipe import Recipe, RuleRecipe, StylePicture
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow

PACKAGES = ("wandb", "tensorboard")  # loggers that need the package, and the extra, of their name


@pytest.fixture(params=LOGGERS)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param in PACKAGES:
        pytest.importorskip(request.param)
    monkeypatch.setenv("WANDB_MODE", "offline")
    return request.param


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe("small", (RuleRecipe("moss", (StylePicture("moss.png"),)),), folder=tmp_path)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (32, 16), (40, 90, 20)).save(tmp_path / "sheet.png")
    return tmp_path / "sheet.png"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    with av.open(str(tmp_path / "sample.mp4"), "w") as clip:
        stream = clip.add_stream("libx264", 12)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for shade in range(0, 200, 20):
            array = np.full((16, 32, 3), shade, np.uint8)
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(array)))
        clip.mux(stream.encode(None))
    return tmp_path / "sample.mp4"


def written(folder: Path) -> int:
    """Return how many bytes a logger has left in the run's folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class TestLoggerContract:
    def test_it_takes_a_run_and_stores_it_in_the_runs_folder(
        self, name: str, recipe: Recipe, picture: Path, video: Path, tmp_path: Path
    ) -> None:
        run = tmp_path / "run"
        run.mkdir()
        logger = open_logger(name, recipe, run, 0)
        assert isinstance(logger, Logger)
        for iteration in (10, 20):
            logger.numbers(iteration, {"loss/total": 1 / iteration, "loss/style": 0.5})
        logger.picture(20, picture)
        logger.video(20, video)
        logger.close()
        assert written(run) > 100
        assert picture.is_file() and video.is_file(), "a logger copies, and moves nothing"

    def test_it_continues_a_resumed_run(self, name: str, recipe: Recipe, tmp_path: Path) -> None:
        run = tmp_path / "run"
        run.mkdir()
        first = open_logger(name, recipe, run, 0)
        first.numbers(10, {"loss/total": 1.0})
        first.close()
        before = written(run)
        second = open_logger(name, recipe, run, 10)
        second.numbers(20, {"loss/total": 0.5})
        second.close()
        assert written(run) > before

    @pytest.mark.parametrize("name", PACKAGES)
    def test_a_missing_package_is_one_sentence(
        self, name: str, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = builtins.__import__

        def missing(module: str, *rest: object) -> object:
            if module.partition(".")[0] == name or module == f"torch.utils.{name}":
                raise ImportError(f"No module named {module!r}")
            return there(module, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(builtins, "__import__", missing)
        with pytest.raises(UserError, match=rf"pip install 'ncavideo\[{name}\]'") as caught:
            open_logger(name, recipe, tmp_path, 0)
        assert "\n" not in str(caught.value)
