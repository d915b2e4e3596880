"""What several test files share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

# Before anything loads OpenMP: threads of several pytest processes would wait for each other's
# cores, spinning. That made a training test two and a half times as long.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nor may those of what they start, as of a sweep's runs, which set their own number of threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Ray's workers have a niceness of 15: beside other tests they would wait for minutes.
os.environ.setdefault("RAY_worker_niceness", "0")

# Hundreds of processes are started, each of which would compile the package's source anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np
import pytest
from hypothesis import settings

from ncavideo.nca import engines
from ncavideo.nca.decoder_weights import DecoderWeights
from ncavideo.nca.ruleset import Rule, RuleSet

# Examples take as long as the machine lets them, and leave no folder behind.
settings.register_profile("plain", deadline=None, database=None)
settings.load_profile("plain")

# A shell's background jobs ignore Ctrl-C, and what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


SLOW = {"slow", "browser", "ray", "train"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests are all slow: a last long one would keep all waiting."""
    quick = {item.path for item in items if not SLOW & {mark.name for mark in item.iter_markers()}}
    items.sort(key=lambda item: item.path in quick)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Have one process more than there are cores: many tests wait for browsers and encoders."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def no_engine_is_remembered_as_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test that breaks an engine slow down those after it: a process tries each once."""
    monkeypatch.setattr(engines, "_refused", set())


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of five small frames, for tests that need any; others define their own."""
    path = tmp_path_factory.mktemp("clips") / "in.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.2",
         str(path)],
        check=True,
    )  # fmt: skip
    return path


@pytest.fixture(scope="session")
def make_ruleset() -> Callable[..., RuleSet]:
    """Return a function that makes a random rule set, small enough for a test to run.

    With the default `scale` a state grows to the order of 1 in 64 steps and does not blow up.
    """

    def make(
        seed: int = 0,
        *,
        channels: int = 4,
        hidden: int = 8,
        rules: tuple[str, ...] = ("fire", "moss"),
        others: tuple[str, ...] = ("light",),
        fire_rate: float = 0.5,
        scale: float = 0.2,
        name: str = "random",
    ) -> RuleSet:
        rng = np.random.default_rng(seed)
        inputs = rules + others
        seen = 4 * channels + len(inputs)
        return RuleSet(
            name,
            tuple(Rule(rule, f"a prompt for {rule}", f"{rule}.png", "a test") for rule in rules),
            inputs,
            fire_rate,
            (rng.normal(size=(hidden, seen)) / seen**0.5).astype(np.float32),
            (0.3 * rng.normal(size=hidden)).astype(np.float32),
            (scale * rng.normal(size=(channels, hidden)) / hidden**0.5).astype(np.float32),
            {"recipe": {"name": name}, "seed": seed},
        )

    return make


@pytest.fixture(scope="session")
def make_decoder() -> Callable[..., DecoderWeights]:
    """Return a function that makes a random decoder, whose pictures are neither grey nor noise."""

    def make(
        seed: int = 0, *, channels: int = 4, hidden: int = 16, pixels: int = 4
    ) -> DecoderWeights:
        rng = np.random.default_rng(seed)
        return DecoderWeights(
            pixels,
            (2 * rng.normal(size=(hidden, channels)) / channels**0.5).astype(np.float32),
            (0.3 * rng.normal(size=hidden)).astype(np.float32),
            (0.6 * rng.normal(size=(3, hidden)) / hidden**0.5).astype(np.float32),
        )

    return make


# A CLIP model of 3 million weights, most of them the vocabulary.
ARCHITECTURE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 2,
    },
}


@pytest.fixture(scope="session")
def clip_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A small CLIP model with random weights: its architecture and its checkpoint."""
    import open_clip
    import torch

    folder = tmp_path_factory.mktemp("clip")
    architecture = folder / "tiny-clip.json"
    architecture.write_text(json.dumps(ARCHITECTURE))
    open_clip.add_model_config(architecture)
    torch.manual_seed(3)
    model = open_clip.create_model("tiny-clip")
    weights = folder / "tiny-clip.pt"
    torch.save(model.state_dict(), weights)
    return str(architecture), str(weights)
