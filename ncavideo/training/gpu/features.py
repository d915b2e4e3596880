"""VGG16's maps with bias, ReLU and rim in one kernel, left channels last and in VGG's precision."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.gpu.clouds import Map
from ncavideo.training.gpu.kernels.rim import rim_kernel, unrim_kernel
from ncavideo.training.vgg import BLOCKS, VGGFeatures

NUMBERS = 2048  # of a program


def vgg_maps(vgg: VGGFeatures, rgb: Tensor, edge: Edge) -> list[Map]:
    """Return the five maps of `vgg(rgb, edge)` as `Map`s; `rgb` `[B, 3, H, W]`, 0..1.

    Sides must be 32 at least, so that the last map is two cells wide.
    """
    x = vgg.prepared(rgb).permute(0, 2, 3, 1).contiguous()
    x = rimmed(x, None, edge)
    found: list[Map] = []
    layer = iter(vgg.layers)
    for number, (convolutions, _) in enumerate(BLOCKS):
        for i in range(convolutions):
            weight, bias = next(layer)
            y = F.conv2d(x.permute(0, 3, 1, 2), weight).permute(0, 2, 3, 1)
            inner = i < convolutions - 1  # another convolution follows, which wants a rim
            x = rimmed(y.contiguous(), bias, edge) if inner else F.relu(y + bias)
            if i == 0:
                batch, height, width, features = x.shape
                flat = x.view(batch, height * width, features)
                found.append(Map(flat, height - 2, width - 2, 1))
                if number == len(BLOCKS) - 1:
                    return found
        x = F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1).contiguous()
        x = rimmed(x, None, edge)
    return found


def rimmed(x: Tensor, bias: Tensor | None, edge: Edge) -> Tensor:
    """Return `[B, H, W, F]` with a rim of one cell; with a `bias` `[F]`, the ReLU of their sum."""
    given = x if bias is None else bias
    out: Tensor = _Rim.apply(x, given, bias is not None, edge)
    return out


class _Rim(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, relu: bool, edge: Edge) -> Tensor:
        batch, height, width, features = x.shape
        out = x.new_empty(batch, height + 2, width + 2, features)
        cells, sizes = batch * (height + 2) * (width + 2), _sizes(features)
        rim_kernel[(triton.cdiv(cells, sizes["CELLS"]),)](
            x, bias, out, cells, height, width, RELU=relu, WRAP=edge == "wrap", **sizes
        )
        ctx.kept = (relu, edge, x.shape)
        if relu:
            ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        relu, edge, (batch, height, width, features) = ctx.kept
        g = gradients[0].contiguous()
        out = ctx.saved_tensors[0] if relu else g
        into = g.new_empty(batch, height, width, features)
        cells, sizes = batch * height * width, _sizes(features)
        unrim_kernel[(triton.cdiv(cells, sizes["CELLS"]),)](
            g, out, into, cells, height, width, RELU=relu, WRAP=edge == "wrap", **sizes
        )
        return into, None, None, None


def _sizes(features: int) -> dict[str, int]:
    block = 1 << (features - 1).bit_length()
    return {"FEATURES": features, "BLOCK": block, "CELLS": max(1, NUMBERS // block)}
