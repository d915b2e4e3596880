"""What the Render tab makes of a moment: two seconds of it in motion."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app.background import in_background
from ncavideo.app.motion_job import MotionJob
from ncavideo.app.queue_list import progress_bar
from ncavideo.app.refusals import bad
from ncavideo.app.render_form import AS_ALL, asked_options, output_name, own_controls
from ncavideo.app.render_job import RenderStatus
from ncavideo.app.render_view import RenderView
from ncavideo.app.service import Service
from ncavideo.app.sessions import Session
from ncavideo.rendering.command_line import render_command
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
                if news.active:
                    yield keep, keep, progress_bar(news), busy, cancel
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

    def asked(
        self, values: dict[Any, Any], session: Session, clip: Path
    ) -> tuple[RenderOptions, str]:
        """Return the form's options, and the output's name."""
        named = {name: values[component] for name, component in self._view.inputs.items()}
        controls = own_controls(named)
        named["own"] = [controls.get(rule, AS_ALL) for rule in named["rules"] or ()]
        options = asked_options(named, session.ruleset_path(named["ruleset"]), session.mask)
        return options, output_name(clip, options, named["format"])

    def command(self, clip: Path, options: RenderOptions, output: str) -> str:
        """Return the command line of a render whose output has that name."""
        from ncavideo.rendering.render import default_output

        plain = default_output(clip, options).name == output
        return render_command(clip.name, options, None if plain else output)
