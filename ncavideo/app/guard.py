"""Who may ask the app for something: its own pages, and none of other sites."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from ncavideo.app.first_script import App, Message, Receive, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# Makes a server listen at all addresses; no client calls it by this one.
EVERY = frozenset({"0.0.0.0", "::", ""})
AROUND = 1 << 20  # bytes that a request may have beside the file in it


class Guard:
    """An ASGI layer around `app` that refuses what the app's own page did not ask for.

    `host`: what the app listens at; `more`: names that a reverse proxy has for it. A browser lets
    any page send requests here, and calls this machine by the page's own name where that name's
    owner says so (DNS rebinding): the first shows in `Origin`, the second in `Host`. The port of
    `Host` may be another, as through a tunnel; that of `Origin` is the one of `Host`. No request
    may bring more than `most_bytes`, and each has to tell first how much it brings: the server
    holds it to that.
    """

    def __init__(self, app: App, host: str, more: tuple[str, ...], most_bytes: int) -> None:
        self._app, self._most = app, most_bytes
        self._more = frozenset(name.lower().strip("[]") for name in more)
        self._names = self._more | LOOPBACK | ({host.lower().strip("[]")} - EVERY)
        if host.strip("[]") in EVERY:
            self._names |= _own_names()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reason = self._reason(scope) if scope["type"] in ("http", "websocket") else None
        if reason is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        elif reason is not None:
            await refuse(send, 403, reason)
        else:
            headers = dict(scope.get("headers", ()))
            length = headers.get(b"content-length", b"0")
            if b"transfer-encoding" in headers or not length.isdigit():
                await refuse(send, 411, "this app takes only what tells its length first")
            elif int(length) > self._most + AROUND:
                await refuse(
                    send, 413,
                    f"a file may have {self._most / 1e9:g} GB at most: start the app with a larger"
                    " --most-upload",
                )  # fmt: skip
            else:
                await self._app(scope, receive, send)

    def _reason(self, scope: Message) -> str | None:
        """Return why a request is refused, None if it is not."""
        # As with a list, one header that is good does not vouch for another that is not.
        hosts = [v.decode("latin-1") for k, v in scope["headers"] if k == b"host"]
        origins = [v.decode("latin-1") for k, v in scope["headers"] if k == b"origin"]
        if len(hosts) != 1 or not self._is_own(_name("//" + hosts[0]), scope):
            return (
                "this app does not answer to that name: open it at the address that it told, or"
                " start it with --allow-host and the name"
            )
        here = hosts[0].lower()
        for origin in origins:
            if origin.lower().partition("://")[2] != here and _name(origin) not in self._more:
                return "this app answers to its own page alone, not to another site's"
        return None

    def _is_own(self, name: str | None, scope: Message) -> bool:
        if name is None:
            return False
        # The address that the connection was made to; no name that somebody else could hand out.
        server = scope.get("server") or ("", 0)
        return name in self._names or _same_address(name, server[0])


async def refuse(send: Send, status: int, sentence: str) -> None:
    """Answer a request with one sentence, and end its connection."""
    body = sentence.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _name(address: str) -> str | None:
    """Return the host of an address in lower case, None if it has none."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _same_address(name: str, server: str) -> bool:
    try:
        mine, asked = ipaddress.ip_address(server), ipaddress.ip_address(name)
    except ValueError:
        return False
    # A socket for both kinds of address tells one of the older kind as a newer one.
    return asked == mine or asked == getattr(mine, "ipv4_mapped", None)


def _own_names() -> frozenset[str]:
    """Return the names that this machine has for itself."""
    name = socket.gethostname().lower()
    return frozenset({name, f"{name.split('.')[0]}.local", socket.getfqdn().lower()})
