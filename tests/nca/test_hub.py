"""Rule sets to and from a hub that runs here: a server with the files and answers of the real one.

What this cannot show: storage of large files (the real hub takes .safetensors through LFS or Xet,
this one inline), rate limits, gated repositories, and whatever the real hub changes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ncavideo.nca.hub import fetch
from ncavideo.nca.publish import model_card
from ncavideo.nca.ruleset import RuleSet
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow

pytest.importorskip("huggingface_hub")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secret"


class Hub(ThreadingHTTPServer):
    """Holds `repos`: name to file names to bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()


class Answers(BaseHTTPRequestHandler):
    """The part of the hub's HTTP interface that loading and sending a rule set uses."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.reply(status, b"", X_Error_Code=code, X_Error_Message=code)

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        file = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/(\w+)/(.+)", path)
        info = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(/.*)?", path)
        repo = file[1] if file else info[1] if info else ""
        files = self.server.repos.get(repo)
        if files is None:
            return self.refuse(401, "RepoNotFound")
        if file and file[2] not in ("main", COMMIT):
            return self.refuse(404, "RevisionNotFound")
        if file and file[3] not in files:
            return self.refuse(404, "EntryNotFound")
        if file:
            body = files[file[3]]
            etag = hashlib.sha256(body).hexdigest()
            return self.reply(200, body, ETag=f'"{etag}"', X_Repo_Commit=COMMIT)
        if "/tree/" in path:
            rows = [
                {"type": "file", "path": n, "size": len(b), "oid": "0"} for n, b in files.items()
            ]
            return self.reply(200, json.dumps(rows).encode(), Content_Type="application/json")
        answer = {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        return self.reply(200, json.dumps(answer).encode(), Content_Type="application/json")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401, "Unauthorized")
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.server.repos.setdefault(name, {})
            if asked.get("private") or asked.get("visibility") == "private":
                self.server.private.add(name)
            answer: Any = {"url": f"http://{self.headers['Host']}/{name}", "name": name}
        elif self.path == "/api/validate-yaml":
            answer = {"errors": [], "warnings": []}
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            answer = {
                "files": [
                    {"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths
                ]
            }
        else:
            found = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/commit/main", self.path)
            assert found, self.path
            for line in body.splitlines():
                part = json.loads(line)
                if part["key"] == "file":
                    content = base64.b64decode(part["value"]["content"])
                    self.server.repos[found[1]][part["value"]["path"]] = content
            url = f"http://{self.headers['Host']}/{found[1]}"
            answer = {"commitUrl": f"{url}/commit/{COMMIT}", "commitOid": COMMIT}
        self.reply(200, json.dumps(answer).encode(), Content_Type="application/json")
        return None

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub of one's own."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ncavideo(hub: Hub, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the command with that hub and a cache of its own."""

    def run(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_TOKEN": TOKEN,
        }
        return subprocess.run(
            [sys.executable, "-m", "ncavideo", *arguments],
            env=environment | changed, capture_output=True, text=True, timeout=600, cwd=tmp_path,
        )  # fmt: skip

    return run


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def mine(make_ruleset: Callable[..., RuleSet], tmp_path: Path) -> str:
    """A rule set whose sheet is drawn in a moment."""
    make_ruleset().save(tmp_path / "mine.safetensors")
    return "mine.safetensors"


def test_sent_and_loaded_again(hub: Hub, ncavideo: Run, mine: str) -> None:
    done = ncavideo("presets", "push", mine, "me/fires", "--private")
    assert done.returncode == 0, done.stderr
    assert "hf://me/fires" in done.stderr
    files = hub.repos["me/fires"]
    assert set(files) == {"ruleset.safetensors", "README.md", "sheet.png"}
    assert files["sheet.png"].startswith(b"\x89PNG")
    assert "me/fires" in hub.private
    shown = ncavideo("presets", "show", "hf://me/fires", "--json")
    assert shown.returncode == 0, shown.stderr
    here = ncavideo("presets", "show", mine, "--json")
    assert json.loads(shown.stdout) == json.loads(here.stdout)


def test_it_renders_and_then_needs_no_hub(ncavideo: Run, mine: str, tmp_path: Path) -> None:
    ncavideo("presets", "push", mine, "me/fires")
    still = ("still", "--rules", "fire", "--size", "32x32", "--steps", "8", "--ruleset")
    assert ncavideo(*still, "hf://me/fires", "-o", "a.png").returncode == 0
    assert ncavideo(*still, mine, "-o", "b.png").returncode == 0
    done = ncavideo(*still, "hf://me/fires", "-o", "c.png", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").stat().st_size == (tmp_path / "c.png").stat().st_size > 100


def test_addresses_with_a_file_a_revision_or_neither(
    hub: Hub, ncavideo: Run, make_ruleset: Callable[..., RuleSet], tmp_path: Path
) -> None:
    make_ruleset().save(tmp_path / "x.safetensors")
    data = (tmp_path / "x.safetensors").read_bytes()
    hub.repos["you/one"] = {"sub/mine.safetensors": data, "README.md": b"hello"}
    hub.repos["you/two"] = {"a.safetensors": data, "b.safetensors": data}
    for address in (
        "hf://you/one",
        "hf://you/two/b.safetensors",
        f"hf://you/two@{COMMIT}/a.safetensors",
    ):
        done = ncavideo("presets", "show", address)
        assert done.returncode == 0, done.stderr
        assert "fire" in done.stdout
    # What is here needs no hub, whatever it is called.
    for away in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        done = ncavideo("presets", "show", "hf://you/one", **away)
        assert done.returncode == 0, done.stderr
        done = ncavideo("presets", "show", "hf://you/two", **away)
        assert (done.returncode, "go online once" in done.stderr) == (2, True), done.stderr


def test_every_way_it_can_fail_is_one_sentence(hub: Hub, ncavideo: Run) -> None:
    hub.repos["you/none"] = {"README.md": b"hello"}
    hub.repos["you/two"] = {"a.safetensors": b"", "b.safetensors": b""}
    hub.repos["you/bad"] = {"ruleset.safetensors": b"\x00" * 100}
    hub.repos["you/huge"] = {"ruleset.safetensors": bytes(65 << 20)}
    for address, said in (
        ("hf://you/missing", "no repository you/missing"),
        ("hf://you/none", "holds none"),
        ("hf://you/none/x.safetensors", "no file x.safetensors"),
        ("hf://you/none/README.md", "does not end in .safetensors"),
        ("hf://you/none@dev/x.safetensors", "no revision dev"),
        ("hf://you/two", "several"),
        ("hf://you/bad", "not an ncavideo rule set"),
        ("hf://you/huge", "too large for a rule set"),
        ("hf://you", "write hf://user/repo"),
        ("hf://../../etc", "write hf://user/repo"),
    ):
        done = ncavideo("presets", "show", address)
        assert done.returncode == 2, (address, done.stderr)
        assert said in done.stderr, (address, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1
    done = ncavideo("presets", "show", "hf://you/new", HF_HUB_OFFLINE="1")
    assert (done.returncode, "go online once" in done.stderr) == (2, True), done.stderr
    done = ncavideo("presets", "show", "hf://you/new", HF_ENDPOINT="http://127.0.0.1:9")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr


def test_sending_without_being_logged_in(hub: Hub, ncavideo: Run) -> None:
    for repo, said, token in (
        ("me/fires", "log in with `hf auth login`", "hf_wrong"),
        ("fires", "write user/repo", TOKEN),
    ):  # fmt: skip
        done = ncavideo("presets", "push", "elements", repo, HF_TOKEN=token)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert hub.repos == {}


def test_the_card_keeps_its_table(make_ruleset: Callable[..., RuleSet]) -> None:
    import dataclasses

    ruleset = make_ruleset()
    odd = dataclasses.replace(ruleset.rules[0], prompt="a | b\nc", credit="")
    card = model_card(dataclasses.replace(ruleset, rules=(odd, ruleset.rules[1])), "me/it")
    assert "| `fire` | a \\| b c | fire.png | - |" in card


def test_no_hub_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"ncavideo\[hub\]"):
        fetch("hf://you/one")
