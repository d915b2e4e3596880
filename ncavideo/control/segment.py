"""Segmentation: what belongs to a thing, a class, or a group of like colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ncavideo.control.field import Context, Field, View
from ncavideo.control.segmenters import Segmenter, split_model
from ncavideo.util.errors import UserError
from ncavideo.util.state import Remembers

METHODS = ("kmeans", "grabcut")  # take no model
HUB = "hf:"


class Shared(Remembers):
    """A segmenter that several fields ask about the same frame, answering each frame once."""

    parts = ("segmenter",)

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self._view: View | None = None
        self._answer = np.zeros((0, 0, 0), np.float32)

    def __call__(self, view: View) -> np.ndarray:
        """Return the segmenter's answer."""
        if view is not self._view:
            self._answer, self._view = self.segmenter(view), view
        return self._answer


class Segment(Field):
    """One part of what a segmenter tells apart.

    `segment:kmeans[:KofN]`, `segment:grabcut[:X,Y,W,H]`, `segment:CLASS[@MODEL][@FILE]` with
    torchvision's models, `segment:CLASS@hf:REPO|FOLDER` with those of transformers.
    """

    parts = ("_shared",)

    def __init__(self, shared: Shared, part: int) -> None:
        self._shared, self._part = shared, part

    @classmethod
    def parse(cls, argument: str, context: Context) -> Segment:
        """Make the field, with the segmenter that others of one kind already have."""
        if not argument:
            raise UserError(
                "segment needs a class or a method: segment:person, segment:kmeans, segment:grabcut"
            )
        name, _, rest = argument.partition(":")
        if name == "kmeans":
            from ncavideo.control.segmenters.kmeans import KMeans, parse_part

            part, count = parse_part(rest)
            return cls(_shared(context, ("kmeans", count), lambda: KMeans(count)), part)
        if name == "grabcut":
            from ncavideo.control.segmenters.grabcut import GrabCut, parse_box

            box = parse_box(rest)
            return cls(_shared(context, ("grabcut", box), lambda: GrabCut(box)), 0)
        wanted, _, model = argument.partition("@")
        if model.startswith(HUB):
            from ncavideo.control.segmenters.hub_model import HubModel

            source = model.removeprefix(HUB)
            shared = _shared(context, ("hf", source), lambda: HubModel(source))
            assert isinstance(shared.segmenter, HubModel)
            return cls(shared, shared.segmenter.part(wanted))
        from ncavideo.control.segmenters.semantic import Semantic

        shared = _shared(context, ("semantic", model), lambda: Semantic.parse(model))
        assert isinstance(shared.segmenter, Semantic)
        return cls(shared, shared.segmenter.part(wanted))

    @classmethod
    def split(cls, argument: str, count: int) -> list[str] | None:
        """Return as many groups of like colours as there are rules, the brightest first."""
        if argument == "kmeans":
            return [f"kmeans:{part}of{count}" for part in range(1, count + 1)]
        return None

    @classmethod
    def map_paths(cls, argument: str, change: Callable[[str], str]) -> str:
        """Return the argument with the path of a model's weights or folder changed."""
        wanted, at, model = argument.partition("@")
        if not at or wanted.partition(":")[0] in METHODS:
            return argument
        if model.startswith(HUB):
            source = model.removeprefix(HUB)
            # Anything else is a repository's name on the hub.
            return f"{wanted}@{HUB}{change(source)}" if _is_folder(source, change) else argument
        name, file = split_model(model)
        if not file:
            return argument
        return f"{wanted}@{name}{'=' if name else ''}{change(file)}"

    def values(self, view: View) -> np.ndarray:
        """Return `[h, w]`."""
        return np.asarray(self._shared(view)[self._part], np.float32)


def _shared(context: Context, key: tuple[object, ...], make: Callable[[], Segmenter]) -> Shared:
    found = context.shared.get(("segment", *key))
    if found is None:
        found = context.shared[("segment", *key)] = Shared(make())
    assert isinstance(found, Shared)
    return found


def _is_folder(source: str, change: Callable[[str], str]) -> bool:
    return Path(source).is_dir() or Path(change(source)).is_dir()
