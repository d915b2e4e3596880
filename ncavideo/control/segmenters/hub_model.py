"""Classes of any segmentation checkpoint that transformers can load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ncavideo.control.field import View
from ncavideo.control.segmenters import Classes
from ncavideo.control.segmenters.semantic import class_index, on_grid
from ncavideo.util.downloaded import check_downloaded
from ncavideo.util.errors import UserError
from ncavideo.util.pixels import as_float

LEAST_PROBED = 256  # pixels of a ramp's shorter side
ONEFORMER, SEMANTIC = "oneformer", "the task is semantic"
NEARLY = 0.02  # of a frame's side: an end that is so near to an edge is on it


class HubModel(Classes):
    """A checkpoint from a folder or the Hugging Face hub, for per-pixel or mask classification.

    No code from the checkpoint is run, and only safetensors weights are read.
    """

    def __init__(self, source: str) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise UserError(
                "segment:CLASS@hf:... needs transformers: pip install 'ncavideo[segment]'"
            ) from error
        from ncavideo.util.device import choose_device

        self.name = f"transformers {source}"
        local = Path(source).is_dir()
        if not source or (not local and source.count("/") != 1):
            raise UserError(f"there is no folder {source!r}: name one, or a hub's USER/REPO")
        safe: dict[str, Any] = {"local_files_only": local, "trust_remote_code": False}
        try:
            processors: Any = transformers.AutoImageProcessor
            kind = transformers.AutoConfig.from_pretrained(source, **safe).model_type
            # OneFormer's names its classes by a file of another repository; its model has them too.
            spared = {"class_info_file": None} if kind == ONEFORMER else {}
            self._processor = processors.from_pretrained(source, **safe, **spared)
            network = _loaded(transformers, source, safe)
            task = _task(transformers, source, safe, network) if kind == ONEFORMER else None
        except ImportError as error:
            said = " ".join(str(error).split())
            raise UserError(f"the model {source} needs another package ({said})") from error
        except Exception as error:
            if not local:
                _check(source)
            # Its loaders raise all kinds: files that are missing, foreign, cut short.
            reason = (
                str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            )
            raise UserError(
                f"{source} is no segmentation model that can be loaded ({reason})"
            ) from error
        if not local:
            _check(source)
        _uncropped(self._processor)
        self._places: tuple[tuple[int, int], list[_Place]] | None = None
        self._source = source
        self._device = torch.device(choose_device())
        self._network = network.eval().to(self._device)
        self._asked = {} if task is None else {"task_inputs": task.to(self._device)}
        labels = network.config.id2label
        self._names = [str(labels[index]) for index in sorted(labels)]

    def part(self, name: str) -> int:
        """Return a class's place. Raises `UserError` for one that is not known."""
        return class_index(name, self._names)

    def __call__(self, view: View) -> np.ndarray:
        """Return each class's probability, `[classes, h, w]`."""
        import torch

        picture = (as_float(view.source) * 255 + 0.5).astype(np.uint8)
        height, width = picture.shape[:2]
        if self._places is None or self._places[0] != (height, width):
            self._places = (height, width), self._found(height, width)
        with torch.inference_mode():
            pixels = self._prepared(picture).to(self._device)
            asked = {name: of_one.expand(len(pixels), -1) for name, of_one in self._asked.items()}
            out = self._network(pixel_values=pixels, **asked)
            if hasattr(out, "pred_masks"):  # DETR's
                shares = _by_masks(out.logits, out.pred_masks)
            elif hasattr(out, "logits"):
                shares = torch.softmax(out.logits.float(), 1)
            else:
                shares = _by_masks(out.class_queries_logits, out.masks_queries_logits)
        return on_grid(_joined(shares.cpu().numpy(), self._places[1]), *view.luma.shape)

    def _prepared(self, picture: np.ndarray) -> Any:
        """Return a picture `[H, W, 3]` uint8 as the network's input `[pieces, 3, h, w]`."""
        # Said, not guessed: three rows would be taken for three channels.
        order = "channels_last"
        inputs = self._processor(images=picture, input_data_format=order, return_tensors="pt")
        return inputs["pixel_values"]

    def _found(self, height: int, width: int) -> list[_Place]:
        """Return which part of a frame each piece of its input shows.

        Processors resize, pad, crop and split in ways of their own, and few tell. So they are
        shown ramps: what comes of them says where it was. Raises `UserError` if a part of the frame
        is in no piece.
        """
        # Small ones are shown larger: where a pixel is spread over many, a ramp has steps.
        larger = -(-LEAST_PROBED // min(height, width))
        height, width = height * larger, width * larger
        shape = (height, width, 3)
        black, white = (
            self._prepared(np.full(shape, value, np.uint8)).numpy().mean(1) for value in (0, 255)
        )
        ramps = []
        for axis, length in ((0, height), (1, width)):
            ramp = ((np.arange(length) + 0.5) * (255 / length) + 0.5).astype(np.uint8)
            ramp = ramp.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
            ramps.append(self._prepared(np.broadcast_to(ramp, shape).copy()).numpy().mean(1))
        places = []
        for piece in range(len(black)):
            # Where black and white are the same there is no picture, only what was put around it.
            span = np.abs(white[piece] - black[piece])
            shown = span > 0.5 * span.max()
            spans = []
            for axis, ramp in enumerate(ramps):
                there = np.flatnonzero(shown.any(1 - axis))
                low, high = int(there[0]), int(there[-1]) + 1
                with np.errstate(invalid="ignore", divide="ignore"):
                    share = (ramp[piece] - black[piece]) / (white[piece] - black[piece])
                line = np.where(shown, share, 0).sum(1 - axis) / shown.sum(1 - axis).clip(1)
                spans.append(_span(line, low, high))
            places.append(_Place(*spans))
        if _joined(np.ones((len(places), 1, 64, 64), np.float32), places).min() == 0:
            raise UserError(
                f"the image processor of {self._source} shows its model a part of the frame only:"
                " switch its cropping off in preprocessor_config.json"
            )
        return places


def _by_masks(classes: Any, masks: Any) -> Any:
    """Return each class's probability `[b, classes, h, w]` by masks with a class each.

    `classes` `[b, masks, classes + 1]` and `masks` `[b, masks, h, w]` are logits; the last class is
    "nothing". Cheng, Schwing and Kirillov, "Per-Pixel Classification is Not All You Need", 2021,
    section 3.4.
    """
    import torch

    shares = torch.softmax(classes.float(), -1)[..., :-1]
    return torch.einsum("bqc,bqhw->bchw", shares, masks.float().sigmoid()).clamp(0, 1)


def _task(transformers: Any, source: str, safe: dict[str, Any], network: Any) -> Any:
    """Return the words `[1, n]` by which OneFormer is asked for classes of pixels."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, **safe)
    words = tokenizer(
        [SEMANTIC], padding="max_length", max_length=network.config.task_seq_len, truncation=True,
        return_tensors="pt",
    )  # fmt: skip
    if len(words["input_ids"].unique()) <= len({*tokenizer.all_special_ids}) + 1:
        # Transformers makes a tokenizer without words of a folder that holds none.
        raise ValueError("the words of its tokenizer are missing: vocab.json and merges.txt")
    return words["attention_mask"] * words["input_ids"]


@dataclass(frozen=True)
class _Span:
    """Along one side: a piece shows the frame in `inside` of its own length, shares of 0 to 1.

    It is the part `of_frame` of the frame's length.
    """

    inside: tuple[float, float]
    of_frame: tuple[float, float]


@dataclass(frozen=True)
class _Place:
    """Where a piece of a network's input is in the frame."""

    down: _Span
    across: _Span


def _span(line: np.ndarray, low: int, high: int) -> _Span:
    """Return what pixels `low` to `high` of a piece show, by what became of a ramp from 0 to 1."""
    # Next to edges a resized ramp bends.
    margin = min(4, (high - low) // 8)
    at = np.arange(low + margin, high - margin)
    if len(at) < 2:
        return _Span((low / len(line), high / len(line)), (0.0, 1.0))
    slope, start = np.polyfit(at, line[low + margin : high - margin], 1)
    ends = (float(start + slope * (edge - 0.5)) for edge in (low, high))
    # By rounding, and by sizes that are no multiples of each other, ends are missed a little.
    first, last = (
        round(end) if abs(end - round(end)) < NEARLY else float(np.clip(end, 0, 1)) for end in ends
    )
    return _Span((low / len(line), high / len(line)), (first, last))


def _joined(shares: np.ndarray, places: list[_Place]) -> np.ndarray:
    """Return the answers `[pieces, parts, h, w]` to all pieces as one of the whole frame.

    Where pieces overlap the mean counts, and where there is none, 0.
    """
    whole = _Span((0.0, 1.0), (0.0, 1.0))
    if places == [_Place(whole, whole)]:
        return np.asarray(shares[0])
    lengths = []
    for axis, spans in enumerate(([p.down for p in places], [p.across for p in places])):
        span = spans[0]
        inside = shares.shape[2 + axis] * (span.inside[1] - span.inside[0])
        lengths.append(max(1, round(inside / (span.of_frame[1] - span.of_frame[0]))))
    total = np.zeros((shares.shape[1], *lengths), np.float32)
    count = np.zeros(lengths, np.float32)
    for answer, place in zip(shares, places, strict=True):
        rows, columns = (
            slice(round(span.of_frame[0] * n), max(round(span.of_frame[1] * n), 1))
            for span, n in zip((place.down, place.across), lengths, strict=True)
        )
        part = answer[:, _pixels(place.down, answer.shape[1]), :]
        part = part[:, :, _pixels(place.across, answer.shape[2])]
        total[:, rows, columns] += on_grid(
            part, rows.stop - rows.start, columns.stop - columns.start
        )
        count[rows, columns] += 1
    return np.asarray(total / np.maximum(count, 1))


def _pixels(span: _Span, length: int) -> slice:
    first = min(round(span.inside[0] * length), length - 1)
    return slice(first, max(round(span.inside[1] * length), first + 1))


def _uncropped(processor: Any) -> None:
    """Have the whole frame shown where a processor would cut its middle out."""
    if not getattr(processor, "do_center_crop", False):
        return
    processor.do_center_crop = False
    size, crop = processor.size, getattr(processor, "crop_size", None)
    # A size of both sides is that of the network's input: with what was cut off, too large.
    if crop is not None and size is not None and not size.get("shortest_edge"):
        processor.size = crop


def _check(source: str) -> None:
    """Raise `UserError` if a repository's weights, as they were downloaded, are damaged."""
    import huggingface_hub

    config = huggingface_hub.try_to_load_from_cache(source, "config.json")
    if isinstance(config, str):
        for path in sorted(Path(config).parent.glob("*.safetensors")):
            check_downloaded(path)


def _loaded(transformers: Any, source: str, safe: dict[str, Any]) -> Any:
    try:
        return transformers.AutoModelForSemanticSegmentation.from_pretrained(
            source, use_safetensors=True, **safe
        )
    except ValueError:
        return transformers.AutoModelForUniversalSegmentation.from_pretrained(
            source, use_safetensors=True, **safe
        )
