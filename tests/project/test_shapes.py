"""Shapes and types of arrays where one package hands them to another, checked while frames run.

The package names them in jaxtyping's notation and does not import jaxtyping itself.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ncavideo.composite.composite import Composite
from ncavideo.control import field
from ncavideo.control.driver import Driver
from ncavideo.control.levels import ClipRange
from ncavideo.control.light import Light
from ncavideo.control.modifiers import ModifiedField
from ncavideo.nca import inputs
from ncavideo.nca.engines.base import Engine
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering import warp
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions

jaxtyping = pytest.importorskip("jaxtyping")
beartype = pytest.importorskip("beartype")

HEIGHT, WIDTH = 48, 66
METHODS = (
    (Driver, "weights"),
    (Light, "__call__"),
    (ModifiedField, "values"),
    (Engine, "step"),
    (Engine, "picture"),
    (Composite, "__call__"),
)
FUNCTIONS = (field.make_view, inputs.inputs_for, warp.warp_state)


def checked(function: Callable[..., Any], calls: set[str]) -> Callable[..., Any]:
    """Return the function with its annotations checked at each call, which is noted in `calls`."""
    names = {"Float32": jaxtyping.Float32, "UInt": jaxtyping.UInt}
    known = sys.modules[function.__module__].__dict__ | names
    assert isinstance(function, types.FunctionType)
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__,
        function.__closure__,
    )  # fmt: skip
    copy.__kwdefaults__, copy.__module__ = function.__kwdefaults__, function.__module__
    hints = {
        name: eval(text, known)
        for name, text in function.__annotations__.items()
        if "Float32" in text or "UInt" in text
    }
    assert hints, function
    copy.__annotations__ = hints
    # An option may be 0 where it is 0.0.
    checker = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
    inner = jaxtyping.jaxtyped(copy, typechecker=checker)

    def outer(*values: Any, **named: Any) -> Any:
        calls.add(function.__qualname__)
        return inner(*values, **named)

    return outer


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Check the shapes at all places, and name the functions that were called."""
    made: set[str] = set()
    for owner, name in METHODS:
        monkeypatch.setattr(owner, name, checked(owner.__dict__[name], made))
    for function in FUNCTIONS:
        instead = checked(function, made)
        for module in [m for n, m in sys.modules.items() if n.startswith("ncavideo.")]:
            for name, value in list(vars(module).items()):
                if value is function:
                    monkeypatch.setattr(module, name, instead)
    yield made


def clip(kind: typing.Any) -> Iterator[np.ndarray]:
    """Yield frames of a pattern that moves to the right."""
    y, x = np.indices((HEIGHT, WIDTH))
    most = np.iinfo(kind).max
    for index in range(3):
        value = 0.5 + 0.4 * np.sin((x - 2 * index) / 5) * np.cos(y / 7)
        yield np.repeat((value * most)[..., None], 3, 2).astype(kind)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "own controls": {"control": ("fire=hue:330-30,blur=2", "edges,smooth=0.2"), "contrast": 2.0},
    "light and opacity": {"light_control": "edges", "opacity_control": "saturation", "shade": 0.7},
    "flow": {"flow": True, "on_cut": "restart"},
    "nothing": {"opacity": 0.0, "shade": 0.0, "light": 0.0},
    "detail": {"shade": 0.0, "detail": 1.0},
    "matte": {"matte": True, "opacity": 0.5},
    "keyframes": {"keyframes": ("fire@0=0,1=1", "opacity@0=1,1=0")},
}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", OPTIONS)
def test_arrays_have_the_shapes_that_are_named(
    calls: set[str], make_ruleset: Callable[..., RuleSet], name: str, kind: Any
) -> None:
    options = RenderOptions(("fire", "moss"), cell=3, warmup=1, steps=1, **OPTIONS[name])
    renderer = FrameRenderer(make_ruleset(), (WIDTH, HEIGHT), ClipRange(), options)
    for index, frame in enumerate(clip(kind)):
        out = renderer.render(frame, index / 25)
        assert out.shape == (HEIGHT, WIDTH, 4 if "matte" in OPTIONS[name] else 3)
    renderer.close()
    expected = {f"{owner.__name__}.{method}" for owner, method in METHODS}
    expected |= {function.__name__ for function in FUNCTIONS}
    if name != "flow":
        expected -= {"warp_state"}
    if name not in ("own controls", "light and opacity"):
        expected -= {"ModifiedField.values"}
    assert calls >= expected


def test_another_shape_or_type_is_found(calls: set[str]) -> None:
    weights, light = np.zeros((1, 4, 5), np.float32), np.zeros((4, 5), np.float32)
    network = types.SimpleNamespace(inputs=("fire",), has_light=False)
    assert inputs.inputs_for(network, ["fire"], weights, light).shape == (1, 4, 5)
    for wrong in (
        (weights, light.T),
        (weights[0], light),
        (weights.astype(np.float64), light),
    ):
        with pytest.raises(jaxtyping.TypeCheckError):
            inputs.inputs_for(network, ["fire"], *wrong)
    with pytest.raises(jaxtyping.TypeCheckError):
        field.make_view(np.zeros((4, 5, 3), np.float32), 2, 2, 0.0)
