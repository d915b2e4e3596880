"""What Weights & Biases and TensorBoard show of a run, also of one that goes on or begins anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from patience import until
from tiny_runs import run_in as go
from tiny_runs import small

from ncavideo.training.loggers.folder import read
from ncavideo.training.progress import Progress

pytestmark = pytest.mark.train


@pytest.mark.usefixtures("narrow")
def test_wandb_offline_gets_losses_pictures_and_video(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    recipe = dataclasses.replace(small(folder, iterations=20), log=("wandb",))
    go(recipe, folder, sheet_every=10)
    (run,) = (folder / "run" / "wandb").glob("offline-run-*")
    # wandb's own process writes the file, on a busy machine a moment after the run has ended.
    (file,) = run.glob("*.wandb")
    until(lambda: b"animation" in file.read_bytes(), "an animation", lambda: file.stat())
    stored = file.read_bytes()
    for name in (b"loss/style", b"loss/total", b"style by kinds", b"samples", b"animation"):
        assert name in stored
    media = run / "files" / "media"
    assert len(list((media / "images").glob("*.png"))) == 2
    assert len(list((media / "videos").glob("*.mp4"))) == 2
    number = (folder / "run" / "wandb-id.txt").read_text()
    assert run.name.endswith(number)


@pytest.mark.usefixtures("narrow")
def test_tensorboard_gets_losses_and_pictures(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = dataclasses.replace(small(folder, iterations=20), log=("tensorboard",))
    go(recipe, folder, sheet_every=10)
    events = EventAccumulator(str(folder / "run" / "tensorboard")).Reload()
    total = events.Scalars("loss/total")
    assert [point.step for point in total] == [10, 20]
    logged = [line["total"] for line in read(folder / "run")]
    assert [point.value for point in total] == pytest.approx(logged, rel=1e-5)
    assert set(events.Tags()["images"]) == {"samples", "animation"}


@pytest.mark.usefixtures("narrow")
def test_a_fresh_run_has_nothing_of_the_one_before(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = dataclasses.replace(small(folder, iterations=20), log=("tensorboard",))
    go(recipe, folder, sheet_every=5)
    (folder / "run" / "sheet-of-mine.png").write_bytes(b"mine")
    shorter = dataclasses.replace(small(folder, iterations=10), log=("tensorboard",))
    go(shorter, folder, resume=False)
    events = EventAccumulator(str(folder / "run" / "tensorboard")).Reload()
    assert [point.step for point in events.Scalars("loss/total")] == [10]
    assert sorted(path.name for path in (folder / "run").glob("sheet-*")) == [
        "sheet-000010.png", "sheet-of-mine.png",
    ]  # fmt: skip


@pytest.mark.usefixtures("narrow")
def test_what_a_resumed_run_does_again_is_shown_once(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = dataclasses.replace(small(folder, iterations=30), log=("tensorboard",))

    class StopError(Exception):
        pass

    def stop(news: Progress) -> None:
        if news.iteration == 25:
            raise StopError

    with pytest.raises(StopError):
        go(recipe, folder, checkpoint_every=15, report=stop)
    go(recipe, folder, checkpoint_every=15)
    events = EventAccumulator(str(folder / "run" / "tensorboard")).Reload()
    assert [point.step for point in events.Scalars("loss/total")] == [10, 20, 30]
