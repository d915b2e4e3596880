"""Segmentation: what belongs to a thing, a class, or a group of like colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ncavideo.control.field import Context, Field, View
from ncavideo.control.segmenters import Classes, Segmenter, split_model
from ncavideo.control.segmenters.steady import Steady
from ncavideo.util.errors import UserError

METHODS = ("kmeans", "grabcut")  # take no model
HUB = "hf:"
PERSON, FACE, MEDIAPIPE = "person", "face", "mediapipe"
# MediaPipe's networks look at every third frame: on two cores that is a third of the cost of the
# optical flow between (docs/controls/segmentation.md).
EVERY = 3


class Shared(Segmenter):
    """A segmenter that several fields ask about the same frame, answering each frame once."""

    parts = ("segmenter",)

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter, self.name = segmenter, segmenter.name
        self._view: View | None = None
        self._answer = np.zeros((0, 0, 0), np.float32)

    def __call__(self, view: View) -> np.ndarray:
        """Return the segmenter's answer."""
        return self.look(view, None)

    def look(self, view: View, before: np.ndarray | None) -> np.ndarray:
        """Return the answer, worked out for whoever asks about a frame first."""
        if view is not self._view:
            self._answer, self._view = self.segmenter.look(view, before), view
        return self._answer

    def notes(self) -> list[str]:
        """Return the segmenter's own."""
        return self.segmenter.notes()


class Segment(Field):
    """One part of what a segmenter tells apart.

    `segment:person`, `segment:face` with MediaPipe's networks, which come with ncavideo;
    `segment:kmeans[:KofN]`, `segment:grabcut[:X,Y,W,H]`; `segment:CLASS[@MODEL][=FILE]` with
    torchvision's models, `segment:CLASS@hf:REPO|FOLDER` with those of transformers.
    """

    parts = ("_shared",)

    def __init__(self, shared: Shared, part: int) -> None:
        self._shared, self._part = shared, part
        self.needs_motion = isinstance(shared.segmenter, Steady)

    @classmethod
    def parse(cls, argument: str, context: Context) -> Segment:
        """Make the field, with the segmenter that others of one kind already have."""
        if not argument:
            raise UserError(
                "segment needs a class or a method: segment:person, segment:kmeans, segment:grabcut"
            )
        name, _, rest = argument.partition(":")
        wanted, _, model = argument.partition("@")
        every = context.every
        if every and name in METHODS:
            raise UserError(f"every= is for networks: segment:{name} looks at every frame")
        if name == "kmeans":
            from ncavideo.control.segmenters.kmeans import KMeans, parse_part

            part, count = parse_part(rest)
            return cls(_shared(context, ("kmeans", count), lambda: KMeans(count)), part)
        if name == "grabcut":
            from ncavideo.control.segmenters.grabcut import GrabCut, parse_box

            box = parse_box(rest)
            return cls(_shared(context, ("grabcut", box), lambda: GrabCut(box)), 0)
        if model == MEDIAPIPE or (wanted in (PERSON, FACE) and not model):
            return _shipped(context, wanted)
        if model.startswith(HUB):
            from ncavideo.control.segmenters.hub_model import HubModel

            source = model.removeprefix(HUB)
            return _of_class(context, ("hf", source), lambda: HubModel(source), wanted)
        from ncavideo.control.segmenters.semantic import Semantic

        return _of_class(context, ("semantic", model), lambda: Semantic.parse(model), wanted)

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

    def notes(self) -> list[str]:
        """Return the segmenter's own."""
        return self._shared.notes()


def models(context: Context) -> tuple[str, ...]:
    """Return the names of all segmentation methods and models that fields of a render use."""
    return tuple(
        sorted({made.name for made in context.shared.values() if isinstance(made, Shared)})
    )


def _shipped(context: Context, wanted: str) -> Segment:
    """Return the field of what one of the networks that come with ncavideo finds."""
    if wanted not in (PERSON, FACE):
        raise UserError(
            f"{MEDIAPIPE} knows people and faces only: segment:{PERSON}, segment:{FACE}"
        )
    every = context.every or EVERY

    def make() -> Segmenter:
        if wanted == FACE:
            from ncavideo.control.segmenters.face import Face

            return Steady(Face(), every)
        from ncavideo.control.segmenters.person import Person

        return Steady(Person(), every)

    return Segment(_shared(context, (MEDIAPIPE, wanted, every), make), 0)


def _of_class(
    context: Context, key: tuple[object, ...], make: Callable[[], Classes], wanted: str
) -> Segment:
    """Return the field of a class that a network knows, held still if `every` was given."""
    network = _shared(context, key, make)
    assert isinstance(network.segmenter, Classes)
    part = network.segmenter.part(wanted)
    if not context.every:
        return Segment(network, part)
    key = (*key, part, context.every)
    return Segment(_shared(context, key, lambda: Steady(network, context.every, part)), 0)


def _shared(context: Context, key: tuple[object, ...], make: Callable[[], Segmenter]) -> Shared:
    found = context.shared.get(("segment", *key))
    if found is None:
        found = context.shared[("segment", *key)] = Shared(make())
    assert isinstance(found, Shared)
    return found


def _is_folder(source: str, change: Callable[[str], str]) -> bool:
    return Path(source).is_dir() or Path(change(source)).is_dir()
