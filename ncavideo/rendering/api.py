"""The package as a library: what the command line does, for programs and notebooks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ncavideo.control.levels import ClipRange
from ncavideo.rendering.local_inputs import input_name, local_inputs
from ncavideo.rendering.option_table import current_name, table
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import RenderProgress, RenderReport, default_output
from ncavideo.rendering.render import render as render_clip
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    import av
    import torch

    Frame = np.ndarray | torch.Tensor | av.VideoFrame
    Rules = str | Sequence[str]


def render(
    clip: str | os.PathLike[str],
    rules: Rules,
    out: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[RenderProgress], None] = lambda news: None,
    warn: Callable[[str], None] = lambda note: None,
    **options: Any,
) -> RenderReport:
    """Render a clip into a file, as `ncavideo render` does.

    `clip`: a path, numbered pictures as `frames/f_%05d.png`, or a URL, which is fetched first;
    `rules`: `"fire,moss"` or `["fire", "moss"]`; `out`: by default `clip.fire-moss.mp4` in the
    current folder; `options`: any field of `RenderOptions`, as `shade=0.3, flow=True`; `progress`
    is called for every frame, `warn` with what should be known before it begins. Returns a report:
    output, frames, seconds, notes.

    Raises `UserError` for unusable input or options, `OutputError` when writing fails.
    """
    asked = _options(rules, options)
    name = os.fspath(clip)
    target = Path(out) if out is not None else default_output(input_name(name), asked)
    with local_inputs(name, asked, warn) as (source, local):
        return render_clip(source, target, local, progress, warn)


def paint(
    frames: Iterable[Frame],
    rules: Rules,
    *,
    fps: float = 25.0,
    levels: tuple[float, float] = (0.0, 1.0),
    output: Literal["torch", "numpy"] = "torch",
    **options: Any,
) -> Iterator[Any]:
    """Paint frames that come from anywhere, one by one, on a grid that lives on between them.

    `frames`: all of one size; each a numpy array `[H, W, 3]` (uint8, uint16, or float in 0..1), a
    torch tensor `[3, H, W]` (uint8, or float in 0..1), or an `av.VideoFrame`. `fps`: frames a
    second, which everything that follows the clip in time needs; a VideoFrame's own time comes
    first. `levels`: the darkest and brightest luminance of the whole clip, 0..1, since what is to
    come cannot be seen. `options`: fields of `RenderOptions` that do not concern files.

    Yields, as soon as a frame has come, a torch tensor `[3, H, W]` on the frame's own device, or
    with `output="numpy"` an array `[H, W, 3]`: uint8, or uint16 or float32 if the frame was of
    such. Raises `UserError` for options that cannot be, and frames that are none.
    """
    from ncavideo.nca.ruleset import find_ruleset
    from ncavideo.rendering.frame_renderer import FrameRenderer
    from ncavideo.rendering.rule_order import in_order

    for name, option in table(RenderOptions).items():
        if name in options and (option.belongs in ("file", "pipe", "run") or option.needs_file):
            raise UserError(f"paint() has no {name!r}: that concerns files, see render()")
    if output not in ("torch", "numpy"):
        raise UserError(f"output must be 'torch' or 'numpy', not {output!r}")
    if not 0 < fps < 1e6:
        raise UserError(f"fps must be above 0, not {fps:g}")
    asked = _options(rules, options)
    ruleset = find_ruleset(asked.rules, asked.ruleset)
    asked = in_order(asked, ruleset)
    return _rendered(frames, asked, fps, ClipRange(*levels), output, FrameRenderer, ruleset)


def _rendered(
    frames: Iterable[Frame],
    options: RenderOptions,
    fps: float,
    levels: ClipRange,
    output: str,
    make: Any,
    ruleset: Any,
) -> Iterator[Any]:
    renderer = None
    size: tuple[int, ...] = ()
    try:
        for index, frame in enumerate(frames):
            rgb, dtype = _as_array(frame)
            if renderer is None:
                size = rgb.shape
                renderer = make(ruleset, (size[1], size[0]), levels, options)
            if rgb.shape != size:
                raise UserError(
                    f"frame {index} has {rgb.shape[1]}x{rgb.shape[0]} pixels and the first"
                    f" {size[1]}x{size[0]}: paint frames of one size at a time"
                )
            time = getattr(frame, "time", None)
            seconds = index / fps if time is None else float(time)
            yield _as_asked(renderer.render(rgb, seconds, 1 / fps), frame, dtype, output)
    finally:
        if renderer is not None:
            renderer.close()


def _options(rules: Rules, options: dict[str, Any]) -> RenderOptions:
    named = rules.split(",") if isinstance(rules, str) else rules
    known = table(RenderOptions)
    values: dict[str, Any] = {
        current_name(RenderOptions, name): tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
    }
    for name, value in values.items():
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, 1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise UserError(f"there is no option {name!r}{hint}")
        if known[name].kind == "texts" and isinstance(value, str):
            values[name] = (value,)
    return RenderOptions(rules=tuple(r.strip() for r in named if r.strip()), **values)


def _as_array(frame: Frame) -> tuple[np.ndarray, Any]:
    """Return a frame as `[H, W, 3]` uint8 or uint16, and the type that it had."""
    if hasattr(frame, "to_ndarray") and hasattr(frame, "pict_type"):
        array = frame.to_ndarray(format="rgb24")
    elif isinstance(frame, np.ndarray):
        array = frame
    elif hasattr(frame, "detach") and frame.ndim == 3 and frame.shape[0] == 3:
        array = frame.detach().permute(1, 2, 0).cpu().numpy()
    else:
        shape = tuple(getattr(frame, "shape", ()))
        raise UserError(
            f"a frame must be an array [H, W, 3], a tensor [3, H, W] or an av.VideoFrame, not"
            f" {type(frame).__name__}{list(shape) if shape else ''}"
        )
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise UserError(f"a frame must be an array [H, W, 3], not {list(array.shape)}")
    dtype = array.dtype
    if dtype.kind == "f":
        # 16 bits: as fine as the pipeline goes.
        array = np.asarray(np.clip(array, 0, 1) * 65535 + 0.5, np.uint16)
    elif dtype not in (np.uint8, np.uint16):
        raise UserError(f"a frame must hold uint8, uint16 or float numbers, not {dtype}")
    return np.ascontiguousarray(array), dtype


def _as_asked(rgb: np.ndarray, frame: Frame, dtype: Any, output: str) -> Any:
    if dtype.kind == "f":
        rgb = rgb.astype(np.float32) / np.float32(65535)
    if output == "numpy":
        return rgb
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))
    return tensor.to(frame.device) if isinstance(frame, torch.Tensor) else tensor
