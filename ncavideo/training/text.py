"""Text guides: the distance of pictures from a rule's prompts.

`TextGuide` is the interface; the one that ships asks a CLIP model through open_clip. A guide sees
cut-outs, random parts of the picture at random sizes, since a texture has to look right up close
and from afar, and a model that sees many crops is harder to fool than one that sees one frame.
"""

from __future__ import annotations

import json
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.recipe import GuideRecipe
from ncavideo.training.share import Share
from ncavideo.util.atomic_write import is_file
from ncavideo.util.downloaded import check_downloaded
from ncavideo.util.errors import UserError, ran_out

SMALLEST_CUT = GuideRecipe.smallest_cut  # share of the picture's side
JITTER = 0.08  # how far brightness, contrast and saturation of a cut-out may change
NOISE = 0.02  # largest deviation of the noise on a cut-out; half of them have none


@dataclass(frozen=True)
class Prompts:
    """The prompts of a rule: descriptions to approach and, optionally, to avoid."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...] = ()


class TextGuide(ABC):
    """Judges pictures of one rule against that rule's prompts.

    `name`: the model and its weights, for the rule set's provenance; `notes`: what the user should
    know, such as a prompt that was cut.
    """

    name: str
    notes: tuple[str, ...] = ()

    @abstractmethod
    def __call__(
        self,
        rgb: Tensor,
        rule: Tensor,
        edge: Edge,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> Tensor:
        """Return the distance of each sample to its rule's prompts, `[B]`, differentiable.

        `rgb` `[B, 3, H, W]`, 0..1 where in range; `rule` `[B]` the index of the rule that each
        sample shows, on the CPU wherever the pictures are; `share`: which samples of those that are
        judged in a batch these are, by default all. There may be none: then the draws are made.
        """


def cut_outs(
    rgb: Tensor,
    count: int,
    side: int,
    edge: Edge,
    generator: torch.Generator | None = None,
    smallest: float = SMALLEST_CUT,
    share: Share | None = None,
) -> Tensor:
    """Return `count` random square parts of each picture, `[B * count, 3, side, side]`.

    The parts of one picture stand together. Each is between `smallest` of the picture's shorter
    side and all of it, crosses the edges where these wrap, is mirrored half of the time, and is
    changed a little in colour and, every other one, by noise, so that no guide can be pleased by
    one trick. Pictures are cut to 0..1 first, see `shown`. `share`: which of a batch's pictures
    these are, by default all.
    """
    rgb, share = shown(rgb), share or Share.all_of(len(rgb))
    height, width = rgb.shape[2:]
    short = min(height, width)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    parts = [rgb.new_zeros(0, 3, side, side)]
    for place in range(-share.first, share.whole - share.first):
        for _ in range(count):
            size = max(1, round(short * (smallest + (1 - smallest) * float(draw(1)))))
            room = (height, width) if edge == "wrap" else (height - size + 1, width - size + 1)
            top, left = (int(float(draw(1)) * space) for space in room)
            mirrored = bool(draw(1) < 0.5)
            if not 0 <= place < len(rgb):  # another process's
                continue
            picture = rgb[place]
            part = (
                picture.roll((-top, -left), (1, 2)) if edge == "wrap" else picture[:, top:, left:]
            )
            part = part[:, :size, :size]
            parts.append(resize((part.flip(2) if mirrored else part)[None], side))
    cut = torch.cat(parts)
    cuts = Share(share.first * count, len(cut), share.whole * count)
    brightness, contrast, saturation = (
        1 + JITTER * (2 * cuts.drawn(draw, 1, 1, 1).to(cut.device) - 1) for _ in range(3)
    )
    mean = cut.mean((2, 3), keepdim=True)
    cut = mean + (cut - mean) * contrast
    grey = cut.mean(1, keepdim=True)
    cut = (grey + (cut - grey) * saturation) * brightness
    # Noise on all of them would teach pictures that are right only with noise on them.
    strength = NOISE * (2 * cuts.drawn(draw, 1, 1, 1) - 1).clamp_min(0).to(cut.device)
    where = generator.device if generator else cut.device
    noise = cuts.drawn(torch.randn, 3, side, side, generator=generator, device=where)
    return cut + strength * noise.to(cut.device)


def shown(rgb: Tensor) -> Tensor:
    """Return pictures as a viewer gets them, cut to 0..1, with the gradient of the uncut ones.

    A guide that saw beyond the range would be pleased by colours that no screen shows; one whose
    gradient ended there could not lead back.
    """
    return rgb + (rgb.clamp(0, 1) - rgb).detach()


def resize(rgb: Tensor, side: int) -> Tensor:
    """Resize square pictures `[B, 3, S, S]` as CLIP's preprocessing does: bicubic, antialiased."""
    if rgb.shape[-1] == side:
        return rgb
    return F.interpolate(rgb, (side, side), mode="bicubic", antialias=True, align_corners=False)


def spherical_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return half the squared angle between unit vectors, over the last axis.

    As Crowson et al., "VQGAN-CLIP", ECCV 2022: unlike the cosine it does not flatten out where
    two vectors are nearly opposite or nearly equal.
    """
    half_angle: Tensor = ((a - b).norm(dim=-1) / 2).clamp(max=1 - 1e-6).arcsin()
    return 2 * half_angle.square()


class OpenClipGuide(TextGuide):
    """A CLIP model (Radford et al. 2021) by open_clip's name, with its weights by tag or file.

    The distance is the mean over cut-outs and wanted prompts of the spherical distance of the two
    embeddings, less the same for the unwanted ones. Texts are embedded once. `smallest`: the
    smallest cut-out, a share of the picture's side. Raises `UserError` if open_clip is missing,
    knows no such model, or its weights can be neither found nor downloaded.
    """

    def __init__(
        self,
        prompts: Sequence[Prompts],
        model: str,
        pretrained: str,
        *,
        cutouts: int = 8,
        smallest: float = SMALLEST_CUT,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        network, tokenizer = load_open_clip(model, pretrained, device)
        self._network, self._device, self._dtype = network, device, dtype
        self._cutouts, self._smallest = cutouts, smallest
        visual = network.visual
        size = visual.image_size
        self.side = int(size if isinstance(size, int) else size[0])
        self._mean, self._std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1)
            for values in (visual.image_mean, visual.image_std)
        )
        shown = Path(pretrained).name if Path(pretrained).suffix else pretrained
        self.name = f"open_clip {Path(model).stem} {shown}"
        self.notes = tuple(
            f"the prompt {text!r} is longer than the model reads: its end is cut"
            for each in prompts
            for text in (*each.wanted, *each.unwanted)
            if _is_cut(tokenizer, text)
        )
        self._wanted = [self._embed(tokenizer, each.wanted) for each in prompts]
        self._unwanted = [self._embed(tokenizer, each.unwanted) for each in prompts]

    @torch.no_grad()
    def _embed(self, tokenizer: Any, texts: Sequence[str]) -> Tensor | None:
        """Return the unit embeddings `[T, D]` of some texts, None for none."""
        if not texts:
            return None
        tokens = tokenizer(list(texts)).to(self._device)
        return F.normalize(self._network.encode_text(tokens).float(), dim=-1)

    def embed_pictures(self, rgb: Tensor) -> Tensor:
        """Return the unit embeddings `[N, D]` of pictures `[N, 3, side, side]`, RGB 0..1."""
        normal = (rgb - self._mean) / self._std
        kind = torch.device(self._device).type
        with torch.autocast(kind, self._dtype, enabled=self._dtype != torch.float32):
            embedded = self._network.encode_image(normal)
        return F.normalize(embedded.float(), dim=-1)

    def __call__(
        self,
        rgb: Tensor,
        rule: Tensor,
        edge: Edge,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> Tensor:
        """Return the distance of each sample to its rule's prompts, `[B]`."""
        parts = cut_outs(rgb, self._cutouts, self.side, edge, generator, self._smallest, share)
        if not len(rgb):
            return rgb.new_zeros(0)
        embedded = self.embed_pictures(parts).view(len(rgb), self._cutouts, -1)
        distances = []
        for sample, index in zip(embedded, rule.tolist(), strict=True):
            total = sample.new_zeros(())
            for texts, sign in ((self._wanted[index], 1), (self._unwanted[index], -1)):
                if texts is not None:
                    total = total + sign * spherical_distance(sample[:, None], texts[None]).mean()
            distances.append(total)
        return torch.stack(distances)


def load_open_clip(model: str, pretrained: str, device: torch.device | str) -> tuple[Any, Any]:
    """Return a frozen CLIP model and its tokenizer.

    `model`: one of open_clip's names, or a JSON file of an architecture in its format;
    `pretrained`: one of its tags, downloaded and cached on first use, or a file.
    """
    try:
        import open_clip
    except ImportError as error:
        raise UserError(
            "a text guide needs open_clip: pip install 'ncavideo[text]', or train from style"
            ' pictures alone: `guide.kind` "none" or --guide none'
        ) from error
    own = Path(model) if Path(model).suffix == ".json" else None
    if own is not None:
        model = _add_architecture(open_clip, own)
    if model not in open_clip.list_models():
        raise UserError(f"open_clip has no model {model!r}: try ViT-B-32 (open_clip.list_models())")
    is_weights = Path(pretrained).suffix in (".pt", ".pth", ".bin", ".safetensors")
    if is_weights and not is_file(Path(pretrained)):
        raise UserError(f"there is no CLIP checkpoint {pretrained}")
    if not is_weights and pretrained not in open_clip.list_pretrained_tags_by_model(model):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none: give a file"
        raise UserError(f"open_clip has no weights {pretrained!r} for {model}; it has {tags}")
    # OpenAI's weights, and some others, were trained with another activation than the architecture
    # of the same name says, and open_clip only warns of that.
    tag = {} if is_weights else open_clip.get_pretrained_cfg(model, pretrained)
    try:
        if not is_weights:
            check_downloaded(Path(open_clip.download_pretrained(tag)))
        network, _, _ = open_clip.create_model_and_transforms(
            model,
            pretrained=pretrained,
            device=device,
            force_quick_gelu=bool(tag.get("quick_gelu")),
        )
        tokenizer = open_clip.get_tokenizer(model)
    except UserError:
        raise
    except Exception as error:  # whatever a file, a network or a library of its own makes it say
        if own is not None:
            _try_architecture(open_clip, own)
        raise _cannot_load(model, pretrained, is_weights, error) from error
    network.eval().requires_grad_(False)
    return network, tokenizer


def _add_architecture(open_clip: Any, path: Path) -> str:
    """Make an architecture's file known to open_clip; return its name there.

    What open_clip cannot read would stay in its list, and spoil every later model.
    """
    if not is_file(path):
        raise UserError(f"there is no CLIP architecture {path}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"the CLIP architecture {path} cannot be read as JSON: {error}") from error
    needed = ("embed_dim", "vision_cfg", "text_cfg")
    if not isinstance(found, dict) or not all(key in found for key in needed):
        raise UserError(f"{path} is no CLIP architecture: it must have {', '.join(needed)}")
    open_clip.add_model_config(path)
    return path.stem


def _try_architecture(open_clip: Any, path: Path) -> None:
    """Build a file's architecture without weights. Raises `UserError` if it cannot be."""
    try:
        open_clip.create_model(path.stem, pretrained=None)
    except Exception as error:  # whatever its values make torch say
        if ran_out(error):
            raise
        said = " ".join(str(error).split())
        raise UserError(f"the CLIP architecture {path} cannot be built: {said}") from error


def _cannot_load(model: str, pretrained: str, is_weights: bool, error: Exception) -> Exception:
    """Return the sentence for what went wrong: the package, the file or the network."""
    if ran_out(error):
        return error
    if isinstance(error, ImportError):
        return UserError(f"{model} needs another package: pip install {error.name}")
    if is_weights and _is_torchscript(Path(pretrained)):
        return UserError(
            f"{pretrained} is TorchScript, which is code: give the tag openai, or save its weights"
            " alone (torch.save of its state_dict())"
        )
    if is_weights:
        return UserError(f"{pretrained} holds no weights of {model}")
    return UserError(
        f"the weights {pretrained} of {model} could not be downloaded: go online once, give a"
        " file as `guide.pretrained` or --clip-weights, or train without text: `guide.kind`"
        ' "none" or --guide none'
    )


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _is_cut(tokenizer: Any, text: str) -> bool:
    """Return whether a text fills all that a model reads, so that more makes no difference."""
    tokens = tokenizer([text, text + " zebra"])
    return bool(torch.equal(tokens[0], tokens[1]))
