"""The CLIP guide on a small model, beside open_clip's own functions."""

from __future__ import annotations

import sys
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.transform import image_transform
from PIL import Image

from ncavideo.training.text import (
    OpenClipGuide,
    Prompts,
    cut_outs,
    load_open_clip,
    resize,
    shown,
    spherical_distance,
)
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.train


def guide_for(files: tuple[str, str], *prompts: Prompts, cutouts: int = 3) -> OpenClipGuide:
    return OpenClipGuide(prompts, *files, cutouts=cutouts)


def fixed() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_loss_and_gradient_are_those_of_open_clips_own_functions(
    clip_files: tuple[str, str],
) -> None:
    prompts = (
        Prompts(("red flames", "a fire at night"), ("water",)),
        Prompts(("green moss",)),
    )
    guide = guide_for(clip_files, *prompts)
    rgb = torch.rand(2, 3, 48, 48, generator=fixed()).requires_grad_()
    distance = guide(rgb, torch.tensor([0, 1]), "wrap", fixed())
    distance.sum().backward()
    assert rgb.grad is not None
    gradient = rgb.grad.clone()

    rgb.grad = None
    model = open_clip.create_model("tiny-clip", pretrained=clip_files[1]).eval()
    tokenizer = open_clip.get_tokenizer("tiny-clip")
    parts = cut_outs(rgb, 3, 32, "wrap", fixed())
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD).view(1, 3, 1, 1)
    pictures = model.encode_image((parts - mean) / std, normalize=True).view(2, 3, -1)

    def towards(sample: int, texts: tuple[str, ...]) -> torch.Tensor:
        words = model.encode_text(tokenizer(list(texts)), normalize=True)
        angle = torch.acos((pictures[sample] @ words.T).clamp(-1, 1))
        return (angle.square() / 2).mean()

    expected = torch.stack(
        [
            towards(0, prompts[0].wanted) - towards(0, prompts[0].unwanted),
            towards(1, prompts[1].wanted),
        ]
    )
    torch.testing.assert_close(distance, expected, rtol=1e-4, atol=1e-5)
    expected.sum().backward()
    torch.testing.assert_close(gradient, rgb.grad, rtol=1e-3, atol=1e-6)
    assert gradient.abs().max() > 1e-6


def test_resizing_and_normalising_are_the_models_own(clip_files: tuple[str, str]) -> None:
    """A whole picture reaches the network as open_clip's preprocessing would bring it there."""
    guide = guide_for(clip_files, Prompts(("moss",)))
    pixels = (60 + torch.rand(50, 50, 3, generator=fixed()) * 130).to(torch.uint8)
    theirs = image_transform(guide.side, is_train=False)(Image.fromarray(pixels.numpy()))
    picture = pixels.permute(2, 0, 1)[None].float() / 255
    ours = (resize(picture, guide.side) - guide._mean) / guide._std
    # Theirs is rounded to 8 bits in between.
    torch.testing.assert_close(ours[0], theirs, rtol=0, atol=0.02)


def test_a_guide_leads_a_picture_towards_its_prompt(clip_files: tuple[str, str]) -> None:
    guide = guide_for(clip_files, Prompts(("red flames",), ("green moss",)))
    rgb = torch.full((1, 3, 32, 32), 0.5).requires_grad_()
    optimiser = torch.optim.Adam([rgb], lr=0.03)
    rule = torch.tensor([0])
    first = guide(rgb, rule, "wrap", fixed()).item()
    draw = fixed()
    for _ in range(80):
        optimiser.zero_grad()
        guide(rgb, rule, "wrap", draw).backward()
        optimiser.step()
    assert guide(rgb, rule, "wrap", fixed()).item() < first - 0.05


def test_half_precision_is_near(clip_files: tuple[str, str]) -> None:
    prompts = [Prompts(("red flames",))]
    rgb = torch.rand(2, 3, 40, 40, generator=fixed())
    rule = torch.tensor([0, 0])
    exact, half = (
        OpenClipGuide(prompts, *clip_files, dtype=dtype)(rgb, rule, "wrap", fixed())
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert not torch.equal(exact, half)
    torch.testing.assert_close(exact, half, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_cut_outs(edge: str) -> None:
    ramp = torch.linspace(0.2, 0.8, 40).expand(2, 3, 30, 40).contiguous()
    parts = cut_outs(ramp, 50, 16, edge, fixed())
    assert parts.shape == (100, 3, 16, 16)
    assert torch.equal(parts, cut_outs(ramp, 50, 16, edge, fixed()))
    widths = (parts.mean((1, 2))[:, -1] - parts.mean((1, 2))[:, 0]).abs()
    assert widths.std() > 0.02, "parts have different sizes"
    assert 0.05 < parts.min() < parts.max() < 0.95
    if edge == "reflect":
        # No part reaches across the edge, where the ramp starts again.
        steps = parts.mean((1, 2)).diff(dim=1)
        assert steps.abs().max() < 0.15


def test_spherical_distance_is_half_the_squared_angle() -> None:
    angles = torch.tensor([0.0, 0.3, 1.5, 3.0])
    a = torch.stack([angles.cos(), angles.sin()], 1)
    b = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    torch.testing.assert_close(spherical_distance(a, b), angles**2 / 2, rtol=1e-4, atol=1e-6)


def test_provenance_and_notes(clip_files: tuple[str, str]) -> None:
    guide = guide_for(clip_files, Prompts(("moss",), ("word " * 40,)))
    assert guide.name == "open_clip tiny-clip tiny-clip.pt"
    assert "/" not in guide.name
    assert len(guide.notes) == 1
    assert "cut" in guide.notes[0]


def test_what_cannot_be_loaded_is_one_sentence(clip_files: tuple[str, str], tmp_path: Path) -> None:
    architecture, weights = clip_files
    broken = tmp_path / "broken.pt"
    broken.write_bytes(Path(weights).read_bytes()[:1000])
    for model, pretrained, said in (
        ("ViT-Z-99", "openai", "no model"),
        ("ViT-B-32", "openly", "no weights"),
        (str(tmp_path / "none.json"), weights, "no CLIP architecture"),
        (architecture, str(tmp_path / "none.pt"), "no CLIP checkpoint"),
        (architecture, str(broken), "holds no weights"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            load_open_clip(model, pretrained, "cpu")
        assert "\n" not in str(caught.value)


def test_whatever_is_in_a_file_of_weights(clip_files: tuple[str, str], tmp_path: Path) -> None:
    for number, content in enumerate([b"", b"<html>no such page</html>", [], torch.zeros(3), {}]):
        path = tmp_path / f"{number}.pt"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(UserError, match="holds no weights of tiny-clip"):
            load_open_clip(clip_files[0], str(path), "cpu")
    (tmp_path / "5.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(UserError, match="holds no weights of tiny-clip"):
        load_open_clip(clip_files[0], str(tmp_path / "5.safetensors"), "cpu")
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "6.pt"))
    with pytest.raises(UserError, match="TorchScript"):
        load_open_clip(clip_files[0], str(tmp_path / "6.pt"), "cpu")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("3", "no CLIP architecture"),
        ('{"embed_dim": 8}', "vision_cfg"),
        ('{"embed_dim": 8, "vision_cfg": {"colour": 1}, "text_cfg": {}}', "cannot be built"),
        ('{"embed_dim": "x", "vision_cfg": 3, "text_cfg": []}', "cannot be built"),
    ],
)
def test_a_bad_architecture_spoils_no_other(
    clip_files: tuple[str, str], tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / f"odd-{abs(hash(text))}.json"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        load_open_clip(str(path), clip_files[1], "cpu")
    assert "\n" not in str(caught.value)
    load_open_clip(*clip_files, "cpu")


def test_a_tokenizer_that_is_not_installed(
    clip_files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    monkeypatch.setitem(sys.modules, "transformers", None)
    found = json.loads(Path(clip_files[0]).read_text())
    found["text_cfg"]["hf_tokenizer_name"] = "somebody/tokens"
    path = tmp_path / "foreign-clip.json"
    path.write_text(json.dumps(found))
    with pytest.raises(UserError, match="pip install transformers"):
        load_open_clip(str(path), clip_files[1], "cpu")


@pytest.mark.parametrize(("tag", "quick"), [("openai", True), ("laion2b_s34b_b79k", False)])
def test_the_activation_is_the_one_the_weights_were_trained_with(
    clip_files: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tag: str, quick: bool
) -> None:
    """Not loaded here: open_clip makes the network, without the weights that are far away."""
    make = open_clip.create_model_and_transforms

    def without_weights(model: str, pretrained: str, **options: object) -> object:
        assert pretrained == tag
        return make(model, pretrained=None, **options)

    monkeypatch.setattr(open_clip, "create_model_and_transforms", without_weights)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda config: clip_files[1])
    network, _ = load_open_clip("ViT-B-32", tag, "cpu")
    kinds = {type(module).__name__ for module in network.visual.modules()}
    assert ("QuickGELU" in kinds, "GELU" in kinds) == (quick, not quick)


def test_weights_that_are_not_here_say_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without weights and network: how to get them, and how to train without."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="`guide\\.pretrained`") as caught:
        load_open_clip("ViT-B-32", "laion2b_s34b_b79k", "cpu")
    assert "none" in str(caught.value)


def test_embeddings_have_length_one(clip_files: tuple[str, str]) -> None:
    guide = guide_for(clip_files, Prompts(("moss",)))
    embedded = guide.embed_pictures(torch.rand(3, 3, 32, 32))
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))
    assert F.cosine_similarity(embedded[0], embedded[1], dim=0) < 1


def test_a_guide_sees_what_is_shown_and_can_lead_back() -> None:
    rgb = torch.tensor([-0.5, 0.25, 1.5]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    rgb = rgb.clone().requires_grad_()
    seen = shown(rgb)
    torch.testing.assert_close(seen.amin((0, 2, 3)), torch.tensor([0.0, 0.25, 1.0]))
    seen.sum().backward()
    assert rgb.grad is not None
    assert (rgb.grad == 1).all()
    beyond = cut_outs(rgb.detach(), 4, 16, "wrap", fixed())
    within = cut_outs(rgb.detach().clamp(0, 1), 4, 16, "wrap", fixed())
    torch.testing.assert_close(beyond, within)


def test_half_of_the_cut_outs_have_no_noise() -> None:
    """A flat picture stays flat in those, so a rule must look right without noise."""
    parts = cut_outs(torch.full((1, 3, 24, 24), 0.5), 64, 24, "wrap", fixed())
    spread = parts.std((1, 2, 3))
    clean = int((spread < 1e-5).sum())
    assert 16 < clean < 48
    assert spread.max() > 0.01
