"""A fractal of the chosen rules as a picture, without a clip."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app.background import in_background
from ncavideo.app.fractal_job import FractalJob
from ncavideo.app.queue_list import waiting
from ncavideo.app.refusals import bad
from ncavideo.app.render_form import shown_options
from ncavideo.app.render_job import RenderStatus
from ncavideo.app.service import Service
from ncavideo.app.sessions import Session
from ncavideo.app.shown_rules import shown_rules
from ncavideo.nca.catalog import presets
from ncavideo.rendering.options import RenderOptions
from ncavideo.still.options import StillOptions, parse_weights
from ncavideo.util.errors import UserError

WIDTH, HEIGHT, LEVELS, SCALE = 1920, 1080, 3, 3.0
MOST_LEVELS, SCALES = 8, (1.25, 8.0)
MOST_PIXELS = 3840 * 2160  # four times as many take a minute and a half on two cores


class FractalPanel:
    """The components, where they are created, and their handlers."""

    def __init__(self) -> None:
        with gr.Accordion("A fractal of these rules", open=False, elem_id="fractal"):
            with gr.Row(elem_id="fractal-sides"):
                self._width, self._height = (
                    gr.Number(value, label=label, precision=0, min_width=100)
                    for value, label in ((WIDTH, "Width in pixels"), (HEIGHT, "Height in pixels"))
                )
            self._levels = gr.Slider(
                0, MOST_LEVELS, LEVELS, step=1, label="Levels: how often the texture is enlarged",
                elem_id="fractal-levels",
            )  # fmt: skip
            self._scale = gr.Slider(
                *SCALES, SCALE, step=0.25, label="Enlargement of a level", elem_id="fractal-scale"
            )
            with gr.Row(elem_id="fractal-row"):
                self._go = gr.Button("Make the picture", elem_id="fractal-make")
                self._stop = gr.Button("Cancel", interactive=False, elem_id="fractal-cancel")
            self._news = gr.HTML(elem_id="fractal-news")
            self._command = gr.Textbox(
                label="The fractal as command line", lines=1, interactive=False, visible=False,
                buttons=["copy"], elem_id="fractal-command",
            )  # fmt: skip
        self._fields: list[Any] = [self._width, self._height, self._levels, self._scale]
        # The fields as they were left, in the browser.
        self._kept = gr.BrowserState(storage_key="ncavideo-fractal", secret="ncavideo")

    def connect(self, service: Service, ruleset: Any, rules: Any, seed: Any, edge: Any) -> None:
        """Connect the handlers; they read these fields of the form."""
        self._service = service
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        quiet["concurrency_limit"] = None
        read = [ruleset, rules, seed, edge, *self._fields]
        self._go.click(
            self._make, read, [self._news, self._command, self._go, self._stop],
            trigger_mode="once", js=shown_rules(read, rules), **quiet,
        )  # fmt: skip
        self._stop.click(self._cancel, None, self._stop, **quiet)
        gr.on(
            [field.change for field in self._fields], self._keep, self._fields, self._kept,
            trigger_mode="always_last", **quiet,
        )  # fmt: skip

    def on_load(self, page: gr.Blocks) -> None:
        """Bring back the fields when the page is opened."""
        page.load(
            self._begin, self._kept, self._fields, concurrency_limit=None,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip

    def _begin(self, kept: Any, request: gr.Request) -> list[Any]:
        self._service.session(request).fractal_begun = True
        return left_fields(kept) or [gr.skip()] * len(self._fields)

    def _keep(self, request: gr.Request, *values: Any) -> Any:
        """Return what the browser keeps: nothing before the fields were brought back."""
        return list(values) if self._service.session(request).fractal_begun else gr.skip()

    def _make(self, request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        session, gone = self._service.session(request), gr.update(visible=False)
        yes, no = gr.update(interactive=True), gr.update(interactive=False)
        try:
            options = asked_fractal(session, *values)
        except UserError as error:
            yield bad(session, error), gone, yes, no
            return
        folder = session.place("fractal")
        output = folder / f"{'-'.join(options.weights)}.png"
        job = FractalJob(options, output, self._service.fractals)
        session.run("fractal", job)
        begun: tuple[float, int] | None = None  # when the first news of progress came, and what
        news = RenderStatus("starting")
        try:
            for news in in_background(job.run()):
                if news.state == "rendering":
                    begun = begun or (time.monotonic(), news.done)
                if news.active:
                    yield _progress(news, options, begun), gone, no, yes
        finally:
            session.run("fractal", None)
        if news.state != "done":
            shutil.rmtree(folder, ignore_errors=True)
            cancelled = news.state == "cancelled"
            told = shown.line("Cancelled.") if cancelled else bad(session, news.reason)
            yield told, gone, yes, no
            return
        session.keep_only("fractal", folder)
        width, height = options.size
        link = shown.download(output, f"Download {output.name} ({width}x{height})")
        command = fractal_command(options, output)
        picture = shown.picture(output, "The fractal")
        yield link + picture, gr.update(value=command, visible=True), yes, no

    def _cancel(self, request: gr.Request) -> Any:
        self._service.session(request).stop("fractal")
        return gr.update(interactive=False)


def _progress(news: RenderStatus, options: StillOptions, begun: tuple[float, int] | None) -> str:
    """Return how far a fractal is, over a bar."""
    if news.state == "waiting":
        return shown.bar(waiting(news.before, "fractal"))
    if begun is None or not news.frames:
        return shown.bar("Starting")
    text = f"{news.done} %" if options.fractal else f"{news.done} of {news.frames} steps"
    since, first = begun
    if news.done > first:
        left = (news.frames - news.done) * (time.monotonic() - since) / (news.done - first)
        text += f", {shown.seconds(left)} left" if left > 1 else ""
    return shown.bar(text, news.done, news.frames)


def left_fields(kept: Any) -> list[Any] | None:
    """Return width, height, levels and scale that a browser kept, None where they are none."""
    try:
        width, height, levels, scale = kept
        sides = [None if side is None else int(side) for side in (width, height)]
        fits = 0 <= levels <= MOST_LEVELS and SCALES[0] <= scale <= SCALES[1]
    except (TypeError, ValueError, OverflowError):
        return None
    return [*sides, levels, scale] if fits else None


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
