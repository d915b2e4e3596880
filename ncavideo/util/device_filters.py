"""Filters of planes on a torch device, with the borders and kernels that OpenCV's have.

Every pass is a sum over shifted slices, in a fixed order: no matrix product or convolution of a
vendor's library, whose sums may change from run to run or be cut to tf32, and no atomics.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from ncavideo.util.pixels import LUMINANCE
from ncavideo.util.wide_blur import LEAST, NOTHING, at_half

REFLECT, REPLICATE, WRAP = cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_WRAP
CACHED = 64  # tables of places and weights that are kept on devices


def extended(planes: Tensor, before: int, after: int, dim: int, border: int) -> Tensor:
    """Return planes with `before` and `after` places more along `dim`, by OpenCV's `border`."""
    if not before and not after:
        return planes
    places = _places(planes.shape[dim], before, after, border, planes.device)
    return planes.index_select(dim, places)


@lru_cache(CACHED)
def _places(length: int, before: int, after: int, border: int, device: torch.device) -> Tensor:
    wanted = range(-before, length + after)
    inside = [cv2.borderInterpolate(place, length, border) for place in wanted]
    return torch.tensor(inside, dtype=torch.int64, device=device)


def gaussian_blur(planes: Tensor, deviation: float, border: int = REFLECT) -> Tensor:
    """Return planes `[..., h, w]` float32 blurred, as `cv2.GaussianBlur(x, (0, 0), deviation)`."""
    size = round(deviation * 8 + 1) | 1
    weights = cv2.getGaussianKernel(size, deviation, cv2.CV_32F).ravel().tolist()
    return _blurred(_blurred(planes, weights, -1, border), weights, -2, border)


def wide_blur(planes: Tensor, deviation: float) -> Tensor:
    """Return planes `[..., h, w]` float32 blurred, as `wide_blur.wide_blur`."""
    binomial = [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16]
    half = _blurred(planes, binomial, -1, REFLECT)[..., ::2]
    half = _blurred(half, binomial, -2, REFLECT)[..., ::2, :]
    left = at_half(deviation)
    if left >= LEAST:
        half = wide_blur(half, left)
    elif left >= NOTHING:
        half = gaussian_blur(half, left)
    return _doubled(_doubled(half, planes.shape[-1], -1), planes.shape[-2], -2)


def _doubled(planes: Tensor, length: int, dim: int) -> Tensor:
    """Return planes at twice the size along `dim`, or one place less, as `cv2.pyrUp`."""
    count = planes.shape[dim]
    own = extended(planes, 1, 0, planes.dim() + dim, REFLECT)
    own = extended(own, 0, 1, planes.dim() + dim, REPLICATE)
    before, here, after = (own.narrow(dim, place, count) for place in range(3))
    even, odd = (before + 6 * here + after) / 8, (here + after) / 2
    pairs = torch.stack([even, odd], dim if dim == -1 else -2)
    return pairs.flatten(dim - 1, dim).narrow(dim, 0, length)


def _blurred(planes: Tensor, weights: list[float], dim: int, border: int) -> Tensor:
    reach, length = len(weights) // 2, planes.shape[dim]
    wide = extended(planes, reach, reach, dim % planes.dim(), border)
    total = wide.narrow(dim, reach, length) * weights[reach]
    for offset in range(1, reach + 1):
        pair = wide.narrow(dim, reach - offset, length) + wide.narrow(dim, reach + offset, length)
        total.add_(pair, alpha=weights[reach + offset])
    return total


def least_and_most(plane: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the most of the 3x3 places around each place of a plane `[h, w]`."""
    shaped = plane[None, None]
    return -max_pool2d(-shaped, 3, 1, 1)[0, 0], max_pool2d(shaped, 3, 1, 1)[0, 0]


def resized(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """Return planes `[..., h, w]` at (width, height), as `cv2.resize` with `INTER_LINEAR`."""
    across = _between(plane, size[0], -1)
    return _between(across, size[1], -2)


def _between(plane: Tensor, length: int, dim: int) -> Tensor:
    if plane.shape[dim] == length:
        return plane
    first, second, weight = _linear(plane.shape[dim], length, plane.device)
    weight = weight if dim == -1 else weight[:, None]
    low, high = plane.index_select(dim, first), plane.index_select(dim, second)
    return low + weight * (high - low)


@lru_cache(CACHED)
def _linear(length: int, wanted: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    place = np.clip((np.arange(wanted) + 0.5) * (length / wanted) - 0.5, 0, length - 1)
    first = place.astype(np.int64)
    second = np.minimum(first + 1, length - 1)
    weight = (place - first).astype(np.float32)
    arrays = [torch.from_numpy(array).to(device) for array in (first, second, weight)]
    return arrays[0], arrays[1], arrays[2]


def as_planes(frame: Tensor) -> Tensor:
    """Return a frame `[H, W, 3]` as `[3, H, W]` float32, 0..1.

    uint8, or int16 that holds the bits of uint16, which torch hardly computes with.
    """
    planes = frame.permute(2, 0, 1).contiguous()  # or every pass would stride over the others
    if frame.dtype == torch.uint8:
        return planes.float() * (1 / 255)
    return (planes.int() & 0xFFFF).float() * (1 / 65535)


def luminance_of(planes: Tensor) -> Tensor:
    """Return the luminance `[h, w]` of planes `[3, h, w]`."""
    red, green, blue = (float(share) for share in LUMINANCE)
    return planes[0] * red + planes[1] * green + planes[2] * blue


def rounded(planes: Tensor, like: Tensor) -> Tensor:
    """Return planes `[n, H, W]`, 0..1, as a frame `[H, W, n]` of the type of the frame `like`."""
    white = 255 if like.dtype == torch.uint8 else 65535
    scaled = planes.clamp(0, 1).mul_(white).add_(0.5).permute(1, 2, 0)
    if like.dtype == torch.uint8:
        return scaled.to(torch.uint8).contiguous()
    return scaled.to(torch.int32).to(torch.int16).contiguous()
