"""The list of renders as HTML, and how far a render is in words."""

from __future__ import annotations

import html
from urllib.parse import quote

from ncavideo.app import html as shown
from ncavideo.app.render_job import RenderStatus
from ncavideo.app.render_queue import Entry
from ncavideo.app.sessions import Session


def progress_bar(news: RenderStatus) -> str:
    """Return how far a render is, over a bar."""
    if news.state != "rendering":
        return shown.bar(_progress(news))
    return shown.bar(_progress(news), news.done, news.frames)


def waiting(before: int, what: str) -> str:
    """Return in words that something waits for `before` others; `what`: what one is called."""
    if not before:
        return "Waiting"
    others = f"another {what}" if before == 1 else f"{before} other {what}s"
    return f"Waiting for {others} to end: one is done at a time"


def _progress(news: RenderStatus) -> str:
    if news.state == "waiting":
        return waiting(news.before, "render")
    if news.state == "starting":
        return "Starting"
    of = f" of {news.frames}" if news.frames else ""
    text = f"{news.done}{of} frames"
    if news.rate:
        text += f", {news.rate:.1f} a second"
        left = (news.frames - news.done) / news.rate if news.frames else 0
        text += f", {shown.seconds(left)} left" if left > 1 else ""
    return text


def queue_list(session: Session) -> str:
    """Return the tab's renders, the newest first, each with the buttons that it has now.

    A click on one tells `entry`, the number of the render, and `act`: `cancel` or `show`.
    """
    queue = session.renders
    made = [_item(session, entry, status, queue.shown) for entry, status in queue.entries()]
    items = f'<ol class="nca-queue" aria-label="Renders">{"".join(reversed(made))}</ol>'
    return queue.refusal + (items if made else "")


def _item(session: Session, entry: Entry, status: RenderStatus, chosen: int | None) -> str:
    rules = html.escape(", ".join(entry.rules))
    words = f' <code title="{html.escape(entry.words)}">{html.escape(entry.words)}</code>'
    look = rules + (words if entry.words else "")
    # Nothing but tags between tags: the page changes one list into the next node by node.
    head = f'<div class="nca-what"><b>{html.escape(entry.clip.name)}</b><span>{look}</span></div>'
    acts = f'<div class="nca-acts">{"".join(_acts(entry, status, chosen))}</div>'
    state = f'<div class="nca-state">{_state(session, entry, status)}</div>'
    return f"<li>{head}{acts}{state}</li>"


def _state(session: Session, entry: Entry, status: RenderStatus) -> str:
    if status.state == "done":
        told = shown.line(f"{entry.output.name}: {status.done} frames", "good")
        return told + shown.lines(list(status.notes))
    if status.state == "cancelled":
        return shown.line("Cancelled.")
    if status.state == "failed":
        return shown.line(shown.sentence(session.plain(status.reason)), "bad")
    if status.state == "waiting":
        return shown.line(_progress(status))
    return progress_bar(status)


def _acts(entry: Entry, status: RenderStatus, chosen: int | None) -> list[str]:
    name = html.escape(entry.output.name, quote=True)
    if entry.active:
        return [_button(entry, "cancel", "Cancel", f"Cancel {name}")]
    if status.state != "done":
        return []
    address = html.escape(shown.FILES + quote(str(entry.output)), quote=True)
    pressed = f' aria-pressed="{"true" if entry.number == chosen else "false"}"'
    return [
        _button(entry, "show", "Show", f"Show {name}", pressed),
        f'<a href="{address}" download="{name}" aria-label="Download {name}">Download</a>',
    ]


def _button(entry: Entry, act: str, text: str, label: str, more: str = "") -> str:
    about = f'data-entry="{entry.number}" data-act="{act}" aria-label="{label}"{more}'
    return f'<button type="button" {about}>{text}</button>'
