"""What the Render tab makes of its form: a moment in motion, and the render."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app.background import in_background
from ncavideo.app.motion_job import MotionJob
from ncavideo.app.refusals import bad
from ncavideo.app.render_form import AS_ALL, asked_options, output_name, own_controls
from ncavideo.app.render_job import Render, RenderStatus
from ncavideo.app.render_view import RenderView
from ncavideo.app.service import Service
from ncavideo.app.sessions import Session
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError


class RenderResults:
    """The handlers of what is made; `values` are the form's, by its components."""

    def __init__(self, service: Service, view: RenderView) -> None:
        self._service, self._view = service, view

    def move(self, values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Show two seconds from the chosen moment on in place of the still picture."""
        session = self._service.session(request)
        keep, clip = gr.skip(), session.clip
        idle, busy = gr.update(interactive=True), gr.update(interactive=False)
        try:
            if clip is None:
                raise UserError("drop a clip first")
            options, _ = self.asked(values, session, clip)
        except UserError as error:
            yield keep, keep, bad(session, error), idle, keep
            return
        folder, time = session.place("motion"), float(values[self._view.time] or 0)
        job = MotionJob(self._service.moments, clip, options, time, folder, self._service.renders)
        session.moving = mine = (clip, options, time)
        session.run("motion", job)
        news = RenderStatus("starting")
        cancel = gr.update(value="Cancel", visible=True)
        try:
            for news in in_background(job.run()):
                if news.state in ("waiting", "starting", "rendering"):
                    yield keep, keep, _progress(news), busy, cancel
        finally:
            if session.moving is mine:
                session.run("motion", None)
        if session.moving is not mine:  # the page is back at the still picture already
            shutil.rmtree(folder, ignore_errors=True)
            yield (keep,) * 5
            return
        if news.state == "done":
            session.keep_only("motion", folder)
            back = gr.update(value="Back to the still picture", visible=True)
            yield gr.update(visible=False), shown.in_motion(job.output), "", idle, back
            return
        shutil.rmtree(folder, ignore_errors=True)
        said = bad(session, news.reason) if news.state == "failed" else ""
        yield gr.update(visible=True), "", said, idle, gr.update(visible=False)

    def back_to_still(self, request: gr.Request) -> tuple[Any, ...]:
        """End the clip in motion, whether it is shown or still being made."""
        session = self._service.session(request)
        session.moving = None
        session.stop("motion")
        visible, gone = gr.update(visible=True), gr.update(visible=False)
        return visible, "", "", gr.update(interactive=True), gone

    def render(self, values: dict[Any, Any], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Render the clip as the form says, and show how far it is and what became of it."""
        session = self._service.session(request)
        idle = (gr.update(interactive=True), gr.update(interactive=False))
        busy = (gr.update(interactive=False), gr.update(interactive=True))
        keep, clip = gr.skip(), session.clip
        try:
            if clip is None:
                raise UserError("drop a clip first")
            options, name = self.asked(values, session, clip)
        except UserError as error:
            yield bad(session, error), keep, keep, *idle
            return
        folder = session.place("render")
        render = Render(clip, folder / name, options, self._service.renders)
        session.run("render", render)
        news = RenderStatus("starting")
        try:
            for news in in_background(render.run()):
                if news.state in ("waiting", "starting", "rendering"):
                    yield _progress(news), keep, keep, *busy
        finally:
            session.run("render", None)
        if news.state != "done":
            # The previous result can still be downloaded.
            session.keep_only("render", session.last_render)
            cancelled = news.state == "cancelled"
            said = shown.line("Cancelled.") if cancelled else bad(session, news.reason)
            yield said, keep, keep, *idle
            return
        session.last_render = folder
        session.keep_only("render", folder)
        output = folder / name
        said = shown.line(f"{name}: {news.done} frames", "good") + shown.lines(list(news.notes))
        file = gr.update(value=str(output), visible=True)
        part = ""
        if options.start or options.duration:
            begin = options.start or 0.0
            part = f"{begin:g}" + (f",{begin + options.duration:g}" if options.duration else "")
        yield said, shown.before_and_after(clip, output, part), file, *idle

    def cancel(self, request: gr.Request) -> None:
        """End the render."""
        self._service.session(request).stop("render")

    def asked(
        self, values: dict[Any, Any], session: Session, clip: Path
    ) -> tuple[RenderOptions, str]:
        """Return the form's options, and the output's name."""
        named = {name: values[component] for name, component in self._view.inputs.items()}
        controls = own_controls(named)
        named["own"] = [controls.get(rule, AS_ALL) for rule in named["rules"] or ()]
        options = asked_options(named, session.ruleset_path(named["ruleset"]), session.mask)
        return options, output_name(clip, options, named["format"])


def _progress(news: RenderStatus) -> str:
    if news.state == "waiting":
        others = "another render" if news.before == 1 else f"{news.before} other renders"
        return shown.bar(f"Waiting for {others} to end: one is done at a time")
    if news.state == "starting":
        return shown.bar("Starting")
    of = f" of {news.frames}" if news.frames else ""
    text = f"{news.done}{of} frames"
    if news.rate:
        text += f", {news.rate:.1f} a second"
        left = (news.frames - news.done) / news.rate if news.frames else 0
        text += f", {shown.seconds(left)} left" if left > 1 else ""
    return shown.bar(text, news.done, news.frames)
