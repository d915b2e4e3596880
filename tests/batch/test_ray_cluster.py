"""Batches on a real Ray cluster of several nodes on this machine, and clips behind URLs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from patience import PATIENCE, until

from ncavideo.batch.ray_cluster import Needs
from ncavideo.batch.ray_watch import GONE
from ncavideo.cli.main import main
from ncavideo.util.errors import UserError
from ncavideo.util.fetch import hidden, is_url

pytestmark = pytest.mark.ray

# Slow enough that a node can be lost between the first segment and the last.
ASKED = ["--rules", "fire,moss", "--steps", "30", "--warmup", "2", "--cell", "4"]
QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "2", "--cell", "8"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def make_clip(path: Path, frames: int) -> Path:
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25",
         "-frames:v", str(frames), str(path)],
        check=True,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores; each test adds the nodes that it works on."""
    from ray.cluster_utils import Cluster

    found = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 << 20},
    )
    yield found
    found.shutdown()


def add(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=2, memory=2_000_000_000, object_store_memory=80 << 20)


def test_a_node_is_killed_and_the_files_are_the_same(cluster: Any, tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / f"{name}.mp4", 700) for name in ("a", "b")]
    here, there = tmp_path / "here", tmp_path / "there"
    assert run("batch", *clips, "--out-dir", here, *ASKED, "--quiet").exit_code == 0
    first = add(cluster)
    command = [
        sys.executable, "-m", "ncavideo", "batch", *clips, "--out-dir", there, *ASKED, "--json",
        "--quiet", "--ray", cluster.address, "--ray-cpus", "1", "--ray-memory", "0.5",
    ]  # fmt: skip
    batch = subprocess.Popen([str(a) for a in command], stdout=subprocess.PIPE)
    begun = ".*.work/000000.packets"
    until(lambda: list(there.glob(begun)), begun, process=batch)
    assert not list(there.glob("*.mp4"))
    cluster.remove_node(first, allow_graceful=False)
    add(cluster)
    said, _ = batch.communicate(timeout=PATIENCE)
    assert batch.returncode == 0, said
    found = json.loads(said)
    assert found["done"] == 2
    assert max(job["attempts"] for job in found["jobs"]) >= 2
    for clip in clips:
        name = f"{clip.stem}.fire-moss.mp4"
        assert (there / name).read_bytes() == (here / name).read_bytes()
    assert sorted(p.name for p in there.iterdir()) == [
        ".ncavideo-batch.sqlite", ".ncavideo-batch.sqlite.lock", "a.fire-moss.mp4",
        "b.fire-moss.mp4",
    ]  # fmt: skip


def test_a_lost_head_ends_the_batch_with_a_sentence(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    # With one core, the second clip waits; the first is long enough to be under way by then.
    lost = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "memory": 2_000_000_000, "include_dashboard": False,
                        "object_store_memory": 80 << 20},
    )  # fmt: skip
    clips = [make_clip(tmp_path / f"{name}.mp4", 2500) for name in ("a", "b")]
    out, asked = tmp_path / "out", [*QUICK[:2], "--steps", "12", "--cell", "8"]
    short = "from ncavideo.batch import ray_watch as r; r.PATIENCE = 1; r.EVERY = 0.5; "
    command = [
        "batch", *clips, "--out-dir", out, *asked, "--json", "--quiet", "--ray", lost.address,
        "--ray-cpus", "1", "--ray-memory", "0.5",
    ]  # fmt: skip
    batch = subprocess.Popen(
        [sys.executable, "-c", short + "from ncavideo.cli.main import main; main()",
         *map(str, command)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        begun = ".*.work/000000.packets"
        until(lambda: list(out.glob(begun)), begun, process=batch)
        lost.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        said, told = batch.communicate(timeout=PATIENCE)
    finally:
        batch.kill()
        lost.shutdown()
    assert batch.returncode == 1, told
    found = json.loads(said)
    assert [job["state"] for job in found["jobs"]] == ["failed", "failed"]
    assert {job["reason"] for job in found["jobs"]} == {GONE}
    assert b"Traceback" not in told
    result = run("batch", *clips, "--out-dir", out, *asked, "--quiet", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    # A worker may outlive its head for long enough to finish a clip.
    assert found["done"] + found["skipped"] == 2
    assert not list(out.glob(".*.work"))


def test_bad_clips_are_told_on_a_cluster_too(cluster: Any, tmp_path: Path) -> None:
    add(cluster)
    good, bad = make_clip(tmp_path / "good.mp4", 5), tmp_path / "bad.mp4"
    bad.write_bytes(b"no clip")
    arguments = [good, bad, tmp_path / "gone.mp4", "--out-dir", tmp_path / "out", *QUICK]
    cluster_options = ["--ray", cluster.address, "--ray-cpus", 1, "--ray-memory", 0.5]
    result = run("batch", *arguments, "--json", "--quiet", *cluster_options)
    assert result.exit_code == 1, result.output
    jobs = json.loads(result.stdout)["jobs"]
    assert [job["state"] for job in jobs] == ["done", "failed", "failed"]
    assert all("Traceback" not in job["reason"] for job in jobs)
    result = run("batch", *arguments, "--quiet", "--ray", cluster.address, "--ray-cpus", 64)
    assert result.exit_code == 2
    assert "lower --ray-cpus" in result.stderr


def test_no_cluster_and_no_sense() -> None:
    for address, said in (("127.0.0.1:1", "no Ray cluster"), ("ray://x:1", "head node")):
        result = run("batch", "x.mp4", "--out-dir", "never", *QUICK, "--ray", address)
        assert result.exit_code == 2
        assert said in result.stderr
        assert not Path("never").exists()
    for wrong in ({"cpus": -1}, {"gpus": 1.5}, {"memory": -1}):
        with pytest.raises(UserError, match="--ray-"):
            Needs(**wrong)  # type: ignore[arg-type]
    for wrong in ("nan", "inf"):
        result = run("batch", "x.mp4", "--out-dir", "never", *QUICK, "--ray-memory", wrong)
        assert result.exit_code == 2 and "--ray-memory must lie" in result.stderr


# URLs


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An FTP server, the one kind of remote store that needs no package; its URL and its folder."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import ThreadedFTPServer

    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    folder = tmp_path / "store"
    folder.mkdir()
    users = DummyAuthorizer()
    users.add_user("me", "secret", str(folder), perm="elradfmwMT")

    class Handler(FTPHandler):  # type: ignore[misc]
        authorizer = users

    server = ThreadedFTPServer(("127.0.0.1", 0), Handler)
    ended = threading.Event()

    def serve() -> None:
        # In turns, since it cannot be told to end: closed meanwhile, it waits on what is no file.
        while not ended.is_set():
            server.serve_forever(timeout=0.1, blocking=False)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"ftp://me:secret@127.0.0.1:{server.address[1]}", folder
    ended.set()
    thread.join()
    server.close_all()


def test_clips_and_outputs_behind_urls(
    store: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = store
    monkeypatch.chdir(tmp_path)
    (folder / "in").mkdir()
    clip = make_clip(folder / "in" / "one.mp4", 5)
    (folder / "in" / "two.mp4").write_bytes(b"no clip")
    arguments = ["batch", f"{url}/in", "--out-dir", f"{url}/out", *QUICK, "--json", "--quiet"]
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    found = json.loads(result.stdout)
    assert [job["state"] for job in found["jobs"]] == ["done", "failed"]
    assert "secret" not in result.output
    assert run("render", clip, "-o", tmp_path / "here.mp4", *QUICK, "--quiet").exit_code == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["one.fire-moss.mp4"]
    made = folder / "out" / "one.fire-moss.mp4"
    assert made.read_bytes() == (tmp_path / "here.mp4").read_bytes()
    # Again: what is there is not done again.
    when = made.stat().st_mtime_ns
    assert json.loads(run(*arguments).stdout)["jobs"][0]["attempts"] == 1
    assert made.stat().st_mtime_ns == when


def test_urls_that_lead_nowhere(store: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = store
    for source, said in ((f"{url}/nothing", "no clip"), ("nosuch://a/b.mp4", "cannot be used")):
        result = run("batch", source, "--out-dir", tmp_path / "o", *QUICK)
        assert result.exit_code == 2
        assert said in result.stderr
        assert "secret" not in result.stderr


def test_what_is_a_url() -> None:
    assert is_url("s3://bucket/in.mp4")
    assert not is_url("c:/in.mp4")
    assert not is_url("a folder/with:colon.mp4")
    assert hidden("ftp://me:secret@host/a@b") == "ftp://me:***@host/a@b"
    assert hidden("s3://bucket/x") == "s3://bucket/x"
