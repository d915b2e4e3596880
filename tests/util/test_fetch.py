"""Clips and masks behind URLs, from a server on the loopback interface."""

from __future__ import annotations

import base64
import importlib.util
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import ncavideo
from ncavideo.cli.main import main
from ncavideo.rendering.local_inputs import local_inputs
from ncavideo.rendering.look_file import load_look, save_look
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UnreachableError, UserError
from ncavideo.util.fetch import fetch, hidden, url_path, web_facts
from ncavideo.util.identity import identity
from ncavideo.video.reader import VideoReader
from tests.material import ffmpeg

QUICK = ("--rules", "fire,moss", "--warmup", "1", "--steps", "1")
LOGIN = "Basic " + base64.b64encode(b"me:se cret").decode()


class Server:
    """Serves `files` by path; a path may also begin with what is to go wrong."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.elsewhere = ""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers["Authorization"]))
                kind, _, name = self.path[1:].partition("/")
                data = server.files.get(name.partition("?")[0])
                if kind.isdigit():
                    self.send_error(int(kind))
                elif kind == "login" and self.headers["Authorization"] != LOGIN:
                    self.send_error(401)
                elif kind == "moved":
                    self.send_response(302)
                    self.send_header("Location", f"{server.elsewhere}/plain/{name}")
                    self.end_headers()
                elif data is None:
                    self.send_error(404)
                else:
                    self.send_response(200)
                    if kind != "unsized":
                        size = len(data) + (100 if kind == "short" else 0)
                        self.send_header("Content-Length", str(size))
                    self.send_header("ETag", str(hash(data)))
                    self.end_headers()
                    if self.command == "GET":
                        self.wfile.write(data)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("clip") / "clip.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.4", made)
    return made


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Check that nothing stays in the folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert [path for path in folder.iterdir() if path.name.startswith("ncavideo")] == []


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    """Return the one line that a command says before it ends with code 2."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note: fetching")]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(("kind", "size"), [("plain", "0.3 MB"), ("unsized", "size unknown")])
def test_a_file_comes_whole(kind: str, size: str, server: Server, tmp_path: Path) -> None:
    server.files["a%20b.mp4"] = data = bytes(range(256)) * 1000
    told: list[str] = []
    url = f"{server.url}/{kind}/a b.mp4?key=1&x=%2F"
    path = fetch(url, tmp_path, told.append)
    assert path == tmp_path / "a b.mp4"
    assert path.read_bytes() == data
    assert told == [f"fetching {url} ({size})"]
    assert server.asked == [(f"/{kind}/a%20b.mp4?key=1&x=%2F", None)]


def test_a_login_stays_with_its_host(server: Server, tmp_path: Path) -> None:
    server.files["a.mp4"] = b"clip"
    assert fetch(f"http://me:se%20cret@{server.host}/login/a.mp4", tmp_path).read_bytes() == b"clip"
    other = Server()
    try:
        other.files["a.mp4"] = b"moved"
        server.elsewhere = other.url
        url = f"http://me:se%20cret@{server.host}/moved/a.mp4"
        assert fetch(url, tmp_path).read_bytes() == b"moved"
        assert [login for _, login in other.asked] == [None]
    finally:
        other.close()
    with pytest.raises(UserError, match=r"refused .HTTP 401.") as caught:
        fetch(f"http://me:wrong@{server.host}/login/a.mp4", tmp_path)
    assert "wrong" not in str(caught.value)


def test_what_cannot_be_fetched_is_a_sentence(server: Server, tmp_path: Path) -> None:
    server.files["a.mp4"] = b"clip"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/a.mp4"
    lasting = {
        f"{server.url}/plain/none.mp4": "there is no http.* .HTTP 404.",
        f"{server.url}/410/a.mp4": "there is no http",
        f"{server.url}/403/a.mp4": "access to http.* is refused",
        f"{server.url}/400/a.mp4": "HTTP 400",
        "http://": "is no URL|cannot be reached",
        "http://host:port/a.mp4": "is no URL",
        "nosuch://host/a.mp4": "nosuch://host/a.mp4 cannot be used: .*nosuch",
        "memory://none.mp4": "there is no memory",
    }
    for url, said in lasting.items():
        with pytest.raises(UserError, match=said) as caught:
            fetch(url, tmp_path)
        if url != "http://":
            assert not isinstance(caught.value, UnreachableError)
    passing = {
        f"{server.url}/503/a.mp4": "HTTP 503",
        f"{server.url}/429/a.mp4": "HTTP 429",
        f"{server.url}/short/a.mp4": "cut short",
        nobody: "cannot be reached: Connection refused",
        "http://nosuch.invalid/a.mp4": "its host is not known, or there is no network",
    }
    for url, said in passing.items():
        with pytest.raises(UnreachableError, match=said):
            fetch(url, tmp_path)


@pytest.mark.parametrize(("kind", "package"), [("s3", "s3fs"), ("oss", "ossfs")])
def test_a_kind_of_url_whose_package_is_missing(kind: str, package: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(UserError, match=rf"{kind}://a/b cannot be used: .*{package}"):
        fetch(f"{kind}://a/b", tmp_path)


def test_a_kind_that_fsspec_knows(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/in/a.mp4", b"clip")
    told: list[str] = []
    assert fetch("memory://in/a.mp4", tmp_path, told.append).read_bytes() == b"clip"
    assert told == ["fetching memory://in/a.mp4 (0.0 MB)"]
    with pytest.raises(UserError, match=r"there is no|is a folder"):
        fetch("memory://in", tmp_path)


def test_a_large_file_fetched_again_is_the_same(tmp_path: Path) -> None:
    """A render that was stopped resumes although its clip was fetched anew."""
    # 2 MB: more than is known by content alone.
    fsspec.filesystem("memory").pipe("/large/a.mp4", bytes(range(256)) * 8192)
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        found.append(identity(fetch("memory://large/a.mp4", tmp_path / name)))
    assert found[0] == found[1]


def test_names_and_facts(server: Server) -> None:
    assert url_path("https://h/a%20b.mp4?x=/c.mov#d").name == "a b.mp4"
    assert url_path("s3://bucket/what?.mp4").name == "what?.mp4"
    assert url_path("zip://in.mp4::s3://bucket/a.zip").name == "in.mp4"
    assert hidden("https://me:word@h/a?b=c@d") == "https://me:***@h/a?b=c@d"
    server.files["a.mp4"] = b"one"
    first = web_facts(f"{server.url}/plain/a.mp4")
    server.files["a.mp4"] = b"two"
    assert first != web_facts(f"{server.url}/plain/a.mp4") != []
    assert web_facts(f"{server.url}/plain/none.mp4") == []


def test_a_look_keeps_its_urls(tmp_path: Path) -> None:
    control = "fire=mask:https://h/a/m.png?loop,blur=2"
    save_look(tmp_path / "a.toml", RenderOptions(rules=("fire", "moss"), control=(control,)))
    assert load_look(tmp_path / "a.toml")["control"] == (control,)


def test_a_file_for_two_controls_is_fetched_once(server: Server) -> None:
    server.files["m.png"] = b"mask"
    url = f"{server.url}/plain/m.png"
    options = RenderOptions(
        rules=("fire", "moss"),
        control=(f"fire=mask:{url},blur=2", "motion"),
        opacity_control=f"mask:{url}?loop",
    )
    with local_inputs("here.mp4", options) as (source, local):
        assert source == Path("here.mp4")
        path = Path(local.control[0].removeprefix("fire=mask:").removesuffix(",blur=2"))
        assert path.read_bytes() == b"mask"
        assert local.opacity_control == f"mask:{path}?loop"
        assert local.control[1] == "motion"
    assert not path.exists()
    assert len(server.asked) == 1


@pytest.mark.slow
def test_render_and_preview_and_masks(
    server: Server, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.files["clip.mp4"] = clip.read_bytes()
    mask = tmp_path / "mask.png"
    Image.linear_gradient("L").resize((64, 48)).save(mask)
    server.files["mask.png"] = mask.read_bytes()
    control = f"fire=mask:http://me:se%20cret@{server.host}/login/mask.png"
    url = f"{server.url}/plain/clip.mp4?key=1"
    result = run("render", url, "--control", control, *QUICK, "--json")
    assert result.exit_code == 0, result.output
    assert f"note: fetching {url}" in result.stderr
    assert "se%20cret" not in result.output
    assert json.loads(result.stdout)["output"] == "clip.fire-moss.mp4"
    here = run("render", clip, "-o", "here.mp4", "--control", f"fire=mask:{mask}", *QUICK)
    assert here.exit_code == 0, here.output
    made = Path("clip.fire-moss.mp4").read_bytes()
    assert made == Path("here.mp4").read_bytes()
    report = ncavideo.render(url, "fire,moss", "api.mp4", control=(control,), warmup=1, steps=1)
    assert report.frames == 10
    assert Path("api.mp4").read_bytes() == made
    assert run("preview", url, "--control", control, *QUICK).exit_code == 0
    with Image.open("clip.preview.png") as sheet:
        assert np.asarray(sheet).std() > 0
    batched = run("batch", url, "--out-dir", "out", "--control", control, *QUICK, "--json")
    assert batched.exit_code == 0, batched.output
    with VideoReader(Path("out/clip.fire-moss.mp4")) as one, VideoReader(Path("here.mp4")) as two:
        assert [f.rgb.tobytes() for f in one] == [f.rgb.tobytes() for f in two]


@pytest.mark.parametrize("command", ["render", "preview"])
def test_what_is_fetched_and_no_clip_is_told_by_its_url(
    command: str, server: Server, clip: Path, scratch: Path, tmp_path: Path
) -> None:
    out = tmp_path / ("out.mp4" if command == "render" else "out.png")
    server.files["page.mp4"] = b"<html>not a clip</html>" * 100
    server.files["page.png"] = b"<html>not a picture</html>" * 100
    url = f"http://me:secret@{server.host}/plain/page.mp4"
    line = refusal(command, url, "-o", out, *QUICK)
    assert f"http://me:***@{server.host}/plain/page.mp4 is not a video" in line
    assert str(scratch) not in line
    mask = f"mask:{server.url}/plain/page.png"
    line = refusal(command, clip, "-o", out, *QUICK, "--control", mask)
    assert f"{server.url}/plain/page.png is not a picture" in line
    assert "HTTP 404" in refusal(command, f"{server.url}/plain/no.mp4", "-o", out, *QUICK)
    assert "nosuch://a/b cannot be used" in refusal(command, "nosuch://a/b", "-o", out, *QUICK)
    assert not out.exists()


@pytest.mark.slow
def test_a_batch_tries_only_what_may_pass_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ncavideo.batch.run.BACKOFF", 0.0)
    arguments = ("--out-dir", tmp_path / "out", *QUICK, "--json", "--retries", 1)
    result = run(
        "batch", f"{server.url}/404/a.mp4", f"{server.url}/503/b.mp4", *arguments, "--workers", 1
    )
    assert result.exit_code == 1
    assert [job["attempts"] for job in json.loads(result.stdout)["jobs"]] == [1, 2]
