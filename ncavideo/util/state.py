"""State that objects keep from frame to frame, as plain values, so that a render can resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

StateDict = dict[str, Any]


class Stateful:
    """An object whose state is in a few attributes.

    `state_attributes`: their names, as `("_full", "_time")`; each holds None, a number, a text, an
    array, or a tuple of these. `parts`: attributes that hold other such objects, alone or in a
    list; None is left out. A class whose state cannot be stored sets `replayed`: it has to see all
    frames again.
    """

    state_attributes: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[tuple[str, ...]] = ()
    replayed: ClassVar[bool] = False

    def state_dict(self) -> StateDict:
        """Return the state, by attribute; arrays are copied."""
        values = {name: _copied(getattr(self, name)) for name in self.state_attributes}
        return values | {name: [p.state_dict() for p in self._in(name)] for name in self.parts}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore a state that `state_dict` returned."""
        for name in self.state_attributes:
            setattr(self, name, _copied(state[name]))
        for name in self.parts:
            for part, of_part in zip(self._in(name), state[name], strict=True):
                part.load_state_dict(of_part)

    @property
    def needs_replay(self) -> bool:
        """Whether it, or a part of it, has to see all frames again."""
        return any(part.replayed for part in self.walk())

    def walk(self) -> Iterator[Stateful]:
        """Yield the object, its parts, and theirs."""
        yield self
        for name in self.parts:
            for part in self._in(name):
                yield from part.walk()

    def _in(self, name: str) -> list[Stateful]:
        held = getattr(self, name)
        if isinstance(held, list | tuple):
            return list(held)
        return [] if held is None else [held]


def _copied(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_copied(item) for item in value)
    return value.copy() if hasattr(value, "copy") else value
