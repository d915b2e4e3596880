"""How the page tells an error: the library's sentence, without where a session's files lie."""

from __future__ import annotations

import html

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app.sessions import Session


def bad(session: Session, error: Exception | str) -> str:
    """Return an error as a line of the page."""
    return shown.line(shown.sentence(session.plain(str(error))), "bad")


def told(session: Session, error: Exception) -> gr.Error:
    """Return an error as a notice above the page, which changes nothing on it."""
    return gr.Error(html.escape(shown.sentence(session.plain(str(error)))), print_exception=False)
