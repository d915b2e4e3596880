"""What every control does: turn a source frame into the weight of each asked-for rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncavideo.control.grid_luma import grid_luminance
from ncavideo.control.levels import ClipRange, local_contrast
from ncavideo.util.pixels import as_float, to_grid
from ncavideo.util.state import Stateful

if TYPE_CHECKING:
    from jaxtyping import UInt
    from torch import Tensor


@dataclass(frozen=True)
class Motion:
    """How the picture moved since the frame before.

    `backward_flow` `[h, w, 2]` float32: for each cell, the vector (x, y), in cells, from its place
    to its place in the frame before; `occluded` `[h, w]` bool: cells that were hidden in the frame
    before, or outside it; `cut`: another scene begins, and nothing can be followed; `seconds` since
    the frame before.
    """

    backward_flow: np.ndarray
    occluded: np.ndarray
    cut: bool
    seconds: float


@dataclass(frozen=True)
class View:
    """A source frame as the grid sees it.

    `source` `[H, W, 3]`: the frame itself; `luma` `[h, w]` float32, 0..1: its gamma-encoded
    luminance, one pixel a cell; `time` in seconds since the clip's beginning, also where only a
    part of the clip is rendered; `motion` since the frame before, None for the first frame and
    where nobody asked for it.
    """

    source: np.ndarray
    luma: np.ndarray
    time: float
    levels: ClipRange = field(default_factory=ClipRange)
    motion: Motion | None = None

    @cached_property
    def rgb(self) -> np.ndarray:
        """The frame on the grid, `[h, w, 3]` float32, 0..1, gamma-encoded, one pixel a cell."""
        return to_grid(as_float(self.source), *self.luma.shape)

    @cached_property
    def stretched(self) -> np.ndarray:
        """The luminance `[h, w]` stretched so that the clip's range, `levels`, fills 0..1."""
        return self.levels.stretch(self.luma)

    @cached_property
    def local(self) -> np.ndarray:
        """The stretched luminance with its local contrast raised, `[h, w]` in 0..1."""
        return local_contrast(self.stretched)


@dataclass(frozen=True)
class DeviceView:
    """A source frame as the grid sees it, on a torch device; `View` in tensors.

    `source` `[H, W, 3]`: the frame, uint8, or int16 with the bits of uint16; `luma` `[h, w]`
    float32; `processor`: returns the same frame's `View`, for fields that have no form in tensors.
    """

    source: Tensor
    luma: Tensor
    time: float
    levels: ClipRange
    processor: Callable[[], View]

    @cached_property
    def view(self) -> View:
        """The frame on the processor, made when the first field asks for it."""
        return self.processor()

    @cached_property
    def stretched(self) -> Tensor:
        """The luminance `[h, w]` stretched so that the clip's range, `levels`, fills 0..1."""
        low, span = self.levels.stretched
        return ((self.luma - low) / span).clamp(0, 1)

    @cached_property
    def local(self) -> Tensor:
        """The stretched luminance with its local contrast raised, `[h, w]` in 0..1."""
        from ncavideo.control.device_clahe import local_contrast  # torch takes its time to load

        return local_contrast(self.stretched)

    def uploaded(self, array: np.ndarray) -> Tensor:
        """Return an array of the grid's size, float32, as a tensor beside the frame."""
        import torch

        return torch.from_numpy(np.array(array, np.float32)).to(self.luma.device)


def make_view(
    rgb: UInt[np.ndarray, "H W 3"],
    height: int,
    width: int,
    time: float,
    levels: ClipRange | None = None,
    follow: Callable[[np.ndarray, float], Motion | None] | None = None,
) -> View:
    """Return the view of a frame, uint8 or uint16, on a grid of `height` x `width`.

    `follow` finds the motion up to this frame from its luminance on the grid and its time.
    """
    luma = grid_luminance(rgb, height, width)
    motion = None if follow is None else follow(luma, time)
    return View(rgb, luma, time, levels or ClipRange(), motion)


@dataclass(frozen=True)
class Context:
    """What a field may need beside the frames.

    `clip`: the source's file. `shared`: for what several fields have in common, as a network's
    answer to one frame, under a key of their own. `every`: of how many frames a segmentation
    network looks at one, 0 for its own default.
    """

    clip: Path
    shared: dict[Hashable, Any] = field(default_factory=dict)
    every: int = 0


class Field(Stateful, ABC):
    """How strongly one thing is present at each place: the light, a hue, a person, movement.

    By itself a field drives one rule; without a rule's name its values are shared out between all.
    It may remember earlier frames, so it is asked once for every frame, in order.
    """

    needs_motion = False  # whether the views must hold `motion`

    @classmethod
    @abstractmethod
    def parse(cls, argument: str, context: Context) -> Field:
        """Make the field of what follows its name and a colon. Raises `UserError`."""

    @classmethod
    def split(cls, argument: str, count: int) -> list[str] | None:
        """Return one argument for each of `count` rules that share this control, in their order.

        None, as for most: its values are shared out by `ramp`.
        """
        return None

    @classmethod
    def map_paths(cls, argument: str, change: Callable[[str], str]) -> str:
        """Return the argument with `change` applied to every path in it; most hold none.

        `change` is only called with what `parse` would take for a path.
        """
        return argument

    @abstractmethod
    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]` float32, 0 (not there) to 1."""

    def device_values(self, view: DeviceView) -> Tensor:
        """Return `values` as a tensor on the view's device.

        By default they are made on the processor, at the grid's size, and uploaded.
        """
        return view.uploaded(self.values(view.view))

    def notes(self) -> list[str]:
        """Return, after the last frame, sentences that the user should read."""
        return []

    def close(self) -> None:
        """Let go of files."""


def ramp(position: np.ndarray, thresholds: np.ndarray, contrast: float, count: int) -> np.ndarray:
    """Share a position in 0..1 out between `count` rules: the first takes 1, the last takes 0.

    `thresholds`, ascending, are the positions at which neighbouring rules change over; `contrast`
    1 with thresholds evenly spread is plain linear interpolation between evenly spread rules, and
    K makes the change-over K times as steep. A single rule gets its strength: it shares with
    nothing. Weights are >= 0 and sum to 1 (to at most 1 for a single rule).
    """
    borders = max(count - 1, 1)
    slope = np.float32(contrast * borders)
    if count == 1:
        above = np.clip(0.5 + slope * (position - thresholds.astype(np.float32)[0]), 0, 1)
        return np.asarray(above[None], np.float32)
    return shared_out(position, thresholds, slope)


def shared_out(
    position: np.ndarray, thresholds: np.ndarray, slope: float | np.floating
) -> np.ndarray:
    """Return the weights of the bands between ascending thresholds, the uppermost band first.

    `position` `[h, w]` gives `[len(thresholds) + 1, h, w]` float32, which sum to 1; `slope`: how
    fast a weight changes at a threshold, a unit of position.
    """
    from ncavideo.control.sharing_kernel import share_out  # Numba takes its time to load

    weights = np.empty((len(thresholds) + 1, *position.shape), np.float32)
    share_out(
        np.ascontiguousarray(position, np.float32), thresholds.astype(np.float32),
        np.float32(slope), weights,
    )  # fmt: skip
    return weights


def even_thresholds(count: int) -> np.ndarray:
    """Return the thresholds halfway between `count` rules spread evenly over 0..1, ascending."""
    borders = max(count - 1, 1)
    return ((np.arange(borders) + 0.5) / borders).astype(np.float32)
