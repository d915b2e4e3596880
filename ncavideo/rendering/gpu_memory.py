"""How much memory of a GPU a render will take, and what becomes of one whose GPU gives out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from ncavideo.nca.engines import ENGINES
from ncavideo.nca.network import Network
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.device import choose_device
from ncavideo.util.errors import OutputError, UserError, ran_out

# Counted from the passes, not measured: libraries and their workspace; of a pixel the bytes of a
# frame under way in the composite (some twenty float32 numbers), and of those that wait between
# stages; of a cell those of control (some hundred float32 numbers), and the hidden units of the
# `folded` engine, which takes the most.
# A decoder holds planes of all cells and of a band of pixels, twice while they are interpolated.
BASE, PER_PIXEL, FRAMES, PER_CELL = 400e6, 100, 12, 500
HIDDEN_COPIES = 3
COMFORT = 0.9  # of what is free


def estimate(
    ruleset: Network, size: tuple[int, int], cells: tuple[int, int], bit_depth: int
) -> float:
    """Return the bytes of a GPU that a render of frames (width, height) takes, roughly."""
    pixels = size[0] * size[1]
    kept = FRAMES * 3 * (2 if bit_depth > 8 else 1)
    channels = ruleset.channels + len(ruleset.inputs)
    a_cell = PER_CELL + 4 * (HIDDEN_COPIES * ruleset.hidden + 4 * channels)
    needed = BASE + (PER_PIXEL + kept) * pixels + a_cell * cells[0] * cells[1]
    if ruleset.decoder is not None:
        from ncavideo.composite.device_decode import BAND  # torch takes its time to load

        planes = 4 * (3 + ruleset.decoder.hidden)
        needed += 2 * planes * (BAND + cells[0] * cells[1])
    return needed


def fitting(
    options: RenderOptions,
    ruleset: Network,
    size: tuple[int, int],
    cells: tuple[int, int],
    bit_depth: int,
) -> tuple[RenderOptions, str | None]:
    """Return the options with a device that the render fits on, and a sentence if it was moved.

    `--device auto` falls back to the processor. Raises `UserError` where a GPU was asked for, as by
    its engine's name, and has too little memory free.
    """
    if options.device.startswith(("cpu", "mps")) or "cuda" not in _devices(options):
        return options, None
    device = choose_device(options.device)
    if not device.startswith("cuda"):
        return options, None
    needed = estimate(ruleset, size, cells, bit_depth)
    return placed(options, needed, _free(device))


def _devices(options: RenderOptions) -> tuple[str, ...]:
    """Return the kinds of device that the engine runs on; an unknown engine is refused later."""
    kind = ENGINES.get(options.engine)
    return ("cpu", "cuda") if kind is None else kind.devices


def placed(
    options: RenderOptions, needed: float, free: float | None
) -> tuple[RenderOptions, str | None]:
    """Return what `fitting` does; `free` bytes are on the GPU, None where it does not answer."""
    if free is not None and needed <= COMFORT * free:
        return options, None
    if free is None:
        problem = "the GPU does not answer: another program may have it to itself"
    else:
        problem = (
            f"this render takes about {needed / 1e9:.1f} GB of the GPU's memory, and"
            f" {free / 1e9:.1f} GB are free"
        )
    if options.device == "auto" and "cpu" in _devices(options):
        return replace(options, device="cpu"), f"{problem}: the processor renders it"
    raise UserError(f"{problem}: use a larger --cell or --device cpu")


def _free(device: str) -> float | None:
    """Return the bytes that are free on a CUDA device, None where it does not answer."""
    import torch

    try:
        with torch.cuda.device(device):
            return float(torch.cuda.mem_get_info()[0])
    except RuntimeError:
        return None


@contextlib.contextmanager
def lost_gpu_errors() -> Iterator[None]:
    """Turn a GPU's errors in the middle of a render into `OutputError`, which says how to go on."""
    try:
        yield
    except RuntimeError as error:
        said = str(error).splitlines()[0] if str(error) else ""
        if "cuda" not in said.lower() and "cudnn" not in said.lower():
            raise
        problem = "the GPU's memory ran out" if ran_out(error) else f"the GPU was lost ({said})"
        raise OutputError(
            f"{problem}: finished segments are kept, and the same command goes on after them"
            " when the GPU is there again"
        ) from error
