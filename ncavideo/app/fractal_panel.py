"""A fractal of the chosen rules as a picture, without a clip."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app import preview_process
from ncavideo.app.refusals import bad
from ncavideo.app.render_form import shown_options
from ncavideo.app.service import Service
from ncavideo.app.sessions import Session
from ncavideo.nca.catalog import presets
from ncavideo.rendering.options import RenderOptions
from ncavideo.still.options import StillOptions, parse_weights
from ncavideo.util.errors import OutputError, UserError

WIDTH, HEIGHT, LEVELS, SCALE = 1920, 1080, 3, 3.0
MOST_PIXELS = 3840 * 2160  # four times as many take a minute and a half on two cores


class FractalPanel:
    """The components, where they are created, and their handler."""

    def __init__(self) -> None:
        with gr.Accordion("A fractal of these rules", open=False, elem_id="fractal"):
            with gr.Row(elem_id="fractal-sides"):
                self._width, self._height = (
                    gr.Number(value, label=label, precision=0, min_width=100)
                    for value, label in ((WIDTH, "Width in pixels"), (HEIGHT, "Height in pixels"))
                )
            self._levels = gr.Slider(
                0, 8, LEVELS, step=1, label="Levels: how often the texture is enlarged"
            )
            self._scale = gr.Slider(1.25, 8, SCALE, step=0.25, label="Enlargement of a level")
            self._go = gr.Button("Make the picture", elem_id="fractal-make")
            self._news = gr.HTML(elem_id="fractal-news")
            self._command = gr.Textbox(
                label="The fractal as command line", lines=1, interactive=False, visible=False,
                buttons=["copy"], elem_id="fractal-command",
            )  # fmt: skip

    def connect(self, service: Service, ruleset: Any, rules: Any, seed: Any, edge: Any) -> None:
        """Connect the handler; it reads these fields of the form."""
        self._service = service
        asked = [ruleset, rules, seed, edge, self._width, self._height, self._levels, self._scale]
        self._go.click(
            self._make, asked, [self._news, self._command, self._go], trigger_mode="once",
            concurrency_limit=None, show_progress="hidden", api_visibility="private",
        )  # fmt: skip

    async def _make(self, request: gr.Request, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        session, gone = self._service.session(request), gr.update(visible=False)
        busy, idle = gr.update(interactive=False), gr.update(interactive=True)
        try:
            options = asked_fractal(session, *values)
            yield shown.bar("Growing the fractal"), gone, busy
            folder = session.place("fractal")
            output = folder / f"{'-'.join(options.weights)}.png"
            await self._service.pictures.run(preview_process.fractal, options, output)
        except (UserError, OutputError, OSError) as error:
            yield bad(session, error), gone, idle
            return
        session.keep_only("fractal", folder)
        width, height = options.size
        link = shown.download(output, f"Download {output.name} ({width}x{height})")
        command = fractal_command(options, output)
        picture = shown.picture(output, "The fractal")
        yield link + picture, gr.update(value=command, visible=True), idle


def asked_fractal(
    session: Session, ruleset: str, rules: list[str] | None, seed: int | None, edge: Any,
    width: int | None, height: int | None, levels: int, scale: float,
) -> StillOptions:  # fmt: skip
    """Return the options of the fractal that the fields ask for. Raises `UserError`."""
    if not rules:
        raise UserError("choose at least one rule")
    if not width or not height or min(width, height) < 1:
        raise UserError("the fractal needs a width and a height in pixels")
    if width * height > MOST_PIXELS:
        raise UserError(
            f"a fractal may have {MOST_PIXELS} pixels here, not {width}x{height}: use the command"
            " line for a larger one"
        )
    return StillOptions(
        parse_weights(",".join(rules)), (width, height), session.ruleset_path(ruleset),
        fractal=int(levels), scale=float(scale), seed=seed or 0, edge=edge,
    )  # fmt: skip


def fractal_command(options: StillOptions, output: Path) -> str:
    """Return the `ncavideo still` that makes the same picture."""
    rules = tuple(options.weights)
    ruleset = shown_options(RenderOptions(rules, ruleset=options.ruleset), presets()).ruleset
    default = StillOptions(options.weights)
    words = ["ncavideo", "still", "--rules", ",".join(rules)]
    if ruleset is not None:
        words += ["--ruleset", ruleset]
    words += ["--size", "x".join(map(str, options.size))]
    for name in ("fractal", "scale", "seed", "edge"):
        value = getattr(options, name)
        if value != getattr(default, name):
            words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join([*words, "-o", output.name])
