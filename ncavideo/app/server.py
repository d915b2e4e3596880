"""The app: two tabs, and who may use it."""

from __future__ import annotations

import errno
import ipaddress
import os
import signal
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncavideo.app.part import part
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    import gradio as gr

    from ncavideo.app.service import Service

TITLE = "ncavideo"
MOST_UPLOAD = 8.0  # GB a file
LARGEST_UPLOAD = 1e6  # GB
# Uploads that were never taken, and pictures of sessions that ended without a word.
SWEEP, OLD = 3600, 24 * 3600  # seconds
# A tab whose stream was cut is gone for good, or it has come back by now.
LOOK, ABSENT = 60.0, 1800.0  # seconds


def serve(
    host: str = "127.0.0.1",
    port: int = 7860,
    login: tuple[str, str] | None = None,
    open_browser: bool = True,
    allowed_hosts: tuple[str, ...] = (),
    most_upload: float = MOST_UPLOAD,
) -> None:
    """Serve the app until Ctrl-C or SIGTERM. `port` 0: any that is free.

    `allowed_hosts`: names beside this machine's own that the app may be asked by;
    `most_upload`: GB that an uploaded file may have.

    Raises `UserError` if Gradio is not installed, for a port that is taken, for a `most_upload`
    that is no size, and for a `host` that other machines can reach without a `login` (user,
    password).
    """
    if not 0 < most_upload <= LARGEST_UPLOAD:
        raise UserError(
            f"--most-upload must be above 0 and at most {LARGEST_UPLOAD:g}, not {most_upload:g}"
        )
    if not _is_loopback(host) and login is None:
        raise UserError(
            f"others can reach {host}, so a login is needed: --login USER:PASSWORD, or the"
            " environment's NCAVIDEO_LOGIN"
        )
    # Gradio reads these when it is imported. No usage is reported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with tempfile.TemporaryDirectory(prefix="ncavideo-ui-", ignore_cleanup_errors=True) as root:
        os.environ["GRADIO_TEMP_DIR"] = root
        try:
            import gradio
        except ImportError as error:
            raise UserError("the app needs Gradio: pip install 'ncavideo[ui]'") from error
        from starlette.middleware import Middleware

        from ncavideo.app.cut_uploads import CutUploads
        from ncavideo.app.first_script import FirstScript
        from ncavideo.app.guard import Guard
        from ncavideo.app.presence import Presence
        from ncavideo.app.service import Service

        port = _free_port(host, port)
        service = Service(Path(root))
        most_bytes = round(most_upload * 1e9)
        page = make_page(service, most_upload)
        try:
            _, address, _ = page.launch(
                server_name=f"[{host.strip('[]')}]" if ":" in host else host,
                server_port=port,
                auth=login,
                inbrowser=open_browser,
                prevent_thread_lock=True,
                share=False,
                quiet=True,
                ssr_mode=False,
                enable_monitoring=False,
                mcp_server=False,
                pwa=False,
                footer_links=[],
                max_file_size=most_bytes,
                theme=_theme(gradio),
                css=part("style.css"),
                app_kwargs={
                    "middleware": [
                        Middleware(Guard, host, allowed_hosts, most_bytes),
                        Middleware(Presence, service.sessions),
                        Middleware(CutUploads, Path(root)),
                        Middleware(FirstScript, part("page.js") + part("split.js")),
                    ]
                },
            )
        except OSError as error:
            raise UserError(f"the app cannot be served at {host}, port {port}: {error}") from error
        try:
            import click

            click.echo(f"ncavideo is at {address}; Ctrl-C ends it", err=True)
            # What stops a service cleans up after it as well.
            asked_to_end = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())
            while not asked_to_end.wait(LOOK):
                service.sessions.end_absent(ABSENT)
        finally:
            service.close()
            with suppress(Exception):
                page.close(verbose=False)


def make_page(service: Service, most_upload: float = MOST_UPLOAD) -> gr.Blocks:
    """Return the app's page; `most_upload`: GB that it tells a file may have."""
    import gradio as gr

    from ncavideo.app.render_tab import RenderTab
    from ncavideo.app.train_tab import TrainTab

    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(SWEEP, OLD)
    ) as made:
        gr.HTML(
            "<h1>ncavideo</h1><p>Clips that burn, freeze or grow moss. A file may have"
            f" {most_upload:g} GB.</p>",
            elem_id="head",
        )
        with gr.Tab("Render"):
            render = RenderTab(service)
        with gr.Tab("Train"):
            TrainTab(service, render.view.ruleset)
        render.on_load(made)
        made.load(
            service.stay, None, None, concurrency_limit=None, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        made.unload(service.end)
    page: gr.Blocks = made
    return page


def _theme(gradio: Any) -> Any:
    # Fonts of the system: none are fetched.
    return gradio.themes.Base(
        primary_hue="orange",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _free_port(host: str, port: int) -> int:
    """Return `port`, or one that is free for 0. Raises `UserError` where one cannot listen."""
    import socket

    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As the server does: a port whose last connections are just ending is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UserError(f"port {port} is taken: give another --port") from error
            reason = error.strerror or error
            raise UserError(f"one cannot listen at {host}, port {port}: {reason}") from error
        return int(probe.getsockname()[1])
