"""`ncavideo ui`."""

from __future__ import annotations

import click

from ncavideo.cli.common import one_sentence_errors
from ncavideo.util.errors import UserError


@click.command("ui")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", default=7860, show_default=True, type=click.IntRange(0, 65535), help="0: a free one."
)
@click.option(
    "--login",
    metavar="USER:PASSWORD",
    envvar="NCAVIDEO_LOGIN",
    help="Ask for it. Needed where other machines can reach the app.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    metavar="NAME",
    multiple=True,
    help="A name that a reverse proxy has for the app; may be repeated.",
)
@click.option(
    "--most-upload",
    metavar="GB",
    default=8.0,
    show_default=True,
    type=float,
    help="The largest file that may be uploaded.",
)
@click.option("--open/--no-open", "open_browser", default=True, help="Open a browser.")
def ui_command(
    host: str,
    port: int,
    login: str | None,
    allowed_hosts: tuple[str, ...],
    most_upload: float,
    open_browser: bool,
) -> None:
    """Render and train in the browser: an app on this machine.

    \b
        ncavideo ui
        ncavideo ui --host 0.0.0.0 --login me:secret
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.app.server import serve

        user, colon, password = (login or "").partition(":")
        if login is not None and not (user and colon and password):
            raise UserError("--login must be USER:PASSWORD")
        account = (user, password) if login else None
        serve(host, port, account, open_browser, allowed_hosts, most_upload)
