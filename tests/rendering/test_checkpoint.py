"""Checkpoint folders: which render they belong to, and who may write in them or remove them."""

from __future__ import annotations

import errno
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from interrupted import make_clip
from patience import PATIENCE
from PIL import Image

from ncavideo.nca.ruleset import find_ruleset, open_ruleset
from ncavideo.rendering import checkpoint
from ncavideo.rendering.checkpoint import RenderCheckpoint, fingerprint, remove, unfinished
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import render
from ncavideo.rendering.rule_order import in_order
from ncavideo.util.errors import UserError

EXAMPLE = Path(__file__).parents[2] / "examples" / "clip.mp4"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "in.mp4")


def test_other_passes_over_a_frame_are_no_way_to_resume(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruleset, options = open_ruleset("elements"), RenderOptions(("fire",))
    warped = replace(options, flow=True)
    before = fingerprint(clip, ruleset, options), fingerprint(clip, ruleset, warped)
    monkeypatch.setattr(checkpoint, "REVISION", checkpoint.REVISION + 1)
    assert fingerprint(clip, ruleset, options) == before[0]
    assert fingerprint(clip, ruleset, warped) != before[1]
    monkeypatch.setattr(checkpoint, "PASSES", checkpoint.PASSES + 1)
    assert fingerprint(clip, ruleset, options) != before[0]


def test_what_decides_the_bits_decides_the_folder(clip: Path, tmp_path: Path) -> None:
    mask = tmp_path / "m.png"
    Image.new("L", (8, 8)).save(mask)
    ruleset = open_ruleset("elements")
    options = RenderOptions(("fire",), control=(f"fire=mask:{mask}#alpha,invert",))
    key = fingerprint(clip, ruleset, options)
    assert key == fingerprint(clip, ruleset, replace(options, overwrite=True))
    assert key != fingerprint(clip, ruleset, replace(options, seed=1))
    assert key != fingerprint(clip, open_ruleset("earth"), options)
    Image.new("L", (8, 8), 9).save(mask)
    assert key != fingerprint(clip, ruleset, options)
    with pytest.raises(UserError, match="cannot open"):
        fingerprint(tmp_path / "none.mp4", ruleset, options)


# Every control that reads a file, `{f}` being the folder, and the file whose content matters.
READ = {
    "mask": ("mask:{f}/m.png", "m.png"),
    "mask's alpha": ("mask:{f}/m.png#alpha", "m.png"),
    "a mask that repeats": ("mask:{f}/m.png?loop", "m.png"),
    "numbered masks": ("mask:{f}/n_%03d.png", "n_002.png"),
    "numbered masks at a rate": ("mask:{f}/n_%03d.png@12?loop#alpha", "n_001.png"),
    "a name with commas": ("mask:{f}/a,b=c.png", "a,b=c.png"),
    "labels": ("labels:{f}/m.png", "m.png"),
    "one label": ("labels:{f}/m.png:9", "m.png"),
    "one label of many pictures": ("labels:{f}/n_%03d.png@12:9", "n_002.png"),
    "weights": ("segment:person@{f}/w.pth", "w.pth"),
    "named weights": ("segment:person@fcn_resnet50={f}/w.pth", "w.pth"),
    "a model's folder": ("segment:person@hf:{f}/model", "model/deep/weights.safetensors"),
}


OPTIONS = ["", ",blur=3", ",smooth=0.3", ",invert", ",weight=2", ",weight=0.5,invert,blur=1.5"]


@pytest.mark.parametrize("what", READ)
def test_every_file_that_a_control_reads_decides_the_folder(
    what: str, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    for name in ("m.png", "n_001.png", "n_002.png", "a,b=c.png", "w.pth",
                 "model/config.json", "model/deep/weights.safetensors"):  # fmt: skip
        (tmp_path / name).write_bytes(b"one content")
    text, name = READ[what]
    ruleset = open_ruleset("elements")
    for ends in OPTIONS:
        control = text.format(f=tmp_path) + ends
        for options in (
            RenderOptions(("fire",), control=(control,)),
            RenderOptions(("fire",), control=(f"fire={control}",)),
            RenderOptions(("fire",), light_control=control),
            RenderOptions(("fire",), opacity_control=control),
        ):
            (tmp_path / name).write_bytes(b"one content")
            key = fingerprint(clip, ruleset, options)
            assert key == fingerprint(clip, ruleset, options)
            (tmp_path / name).write_bytes(b"another one")
            assert key != fingerprint(clip, ruleset, options), options


def test_a_repository_on_the_hub_is_no_file(clip: Path) -> None:
    ruleset = open_ruleset("elements")
    for text in ("segment:person@hf:someone/model", "segment:kmeans:1of3", "segment:person",
                 "segment:person@lraspp_mobilenet_v3_large", "hue:0-60", "off"):  # fmt: skip
        assert fingerprint(clip, ruleset, RenderOptions(("fire",), control=(f"fire={text}",)))


@pytest.mark.parametrize(
    "moment",
    [
        "ncavideo.rendering.checkpoint.Lock",
        "ncavideo.rendering.checkpoint.json.dumps",
        "ncavideo.rendering.render.open_writer",
    ],
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_interrupt_while_it_begins_leaves_nothing(
    moment: str, after: bool, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pkgutil.resolve_name(moment)

    def interrupted(*arguments: Any, **named: Any) -> Any:
        if not after:
            signal.raise_signal(signal.SIGINT)
        found = original(*arguments, **named)
        if after:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(moment, interrupted)
    folder = tmp_path / "out"
    folder.mkdir()
    options = RenderOptions(("fire",), steps=1, warmup=0, cell=8)
    with pytest.raises(KeyboardInterrupt):
        render(clip, folder / "out.mp4", options)
    assert not list(folder.iterdir())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("what", ["a file", "a dangling link"])
def test_a_work_folder_that_is_none_is_told(what: str, clip: Path, tmp_path: Path) -> None:
    options = RenderOptions(("fire", "moss"), steps=1, warmup=2, cell=8)
    key = fingerprint(clip, open_ruleset("elements"), options)
    folder = tmp_path / f".out.mp4.{key[:12]}.work"
    if what == "a file":
        folder.touch()
    else:
        folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"the folder .*\.work cannot be"):
        render(clip, tmp_path / "out.mp4", options)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_long_name_has_a_work_folder(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / ("long" * 62 + ".mp4")
    render(clip, out, RenderOptions(("fire", "moss"), steps=1, warmup=2, cell=8))
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


# A process that begins and leaves a render again and again, and never misses what it has written.
BEGINS = """
import sys, time
from pathlib import Path
from typing import Any
from ncavideo.rendering.checkpoint import RenderCheckpoint

print("begun", flush=True)
while not Path(sys.argv[1], "enough").exists():
    work = RenderCheckpoint(Path(sys.argv[1], "out.mp4"), "0" * 64, {}, fresh=False)
    names = {path.name for path in work.folder.iterdir()}
    assert {"job.json", "lock"} <= names, names
    for number in range(20):
        work.segment(number).touch()
        work._state(number).touch()
    time.sleep(0.002)
    found = len(list(work.folder.iterdir()))
    assert found == 42, f"{found} files of 42 are left"
    work.release(done=False)
"""


@pytest.mark.skipif(os.name != "posix", reason="there are no such locks here")
def test_cleaning_races_with_a_render_that_begins(tmp_path: Path) -> None:
    render = subprocess.Popen(
        [sys.executable, "-c", BEGINS, str(tmp_path)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert render.stdout is not None
    render.stdout.readline()
    removed, began = 0, time.monotonic()
    while render.poll() is None:
        for found in unfinished(tmp_path):
            removed += remove(found.folder)
        passed = time.monotonic() - began
        if passed > PATIENCE or (passed > 4 and removed):
            (tmp_path / "enough").touch()
    said = render.communicate()[1]
    assert render.returncode == 0, said
    assert removed, "they never met"


def test_a_folder_that_goes_while_it_is_looked_at_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race, met for certain: between the call of `mkdir` and its look at what is there."""
    folder, mkdir, met = tmp_path / f".out.mp4.{'0' * 12}.work", os.mkdir, []

    def raced(path: Any, *arguments: Any, **named: Any) -> None:
        if Path(path) == folder and not met:
            met.append(path)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        mkdir(path, *arguments, **named)

    monkeypatch.setattr(os, "mkdir", raced)
    work = RenderCheckpoint(tmp_path / "out.mp4", "0" * 64, {}, fresh=False)
    assert met and work.folder == folder and folder.is_dir()
    work.release(done=True)
    folder.write_text("a file in its place")
    with pytest.raises(UserError, match="cannot be used: File exists"):
        RenderCheckpoint(tmp_path / "out.mp4", "0" * 64, {}, fresh=False)


def test_a_link_in_the_place_of_a_work_folder_is_not_followed(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name in ("notes.txt", "000000.npz", "a.part.txt", "job.json"):
        (own / name).write_text("{}")
    folder = tmp_path / f".out.mp4.{'0' * 12}.work"
    folder.symlink_to(own)
    for fresh in (False, True):
        with pytest.raises(UserError, match=r"the folder .*\.work cannot be used: it is a link"):
            RenderCheckpoint(tmp_path / "out.mp4", "0" * 64, {}, fresh=fresh)
    assert unfinished(tmp_path) == []
    assert not remove(folder)
    assert len(list(own.iterdir())) == 4


# A process that removes an unfinished render's folder, slowly.
REMOVES = """
import os, sys, time
from pathlib import Path
from typing import Any
from ncavideo.rendering.checkpoint import remove

unlink = os.unlink

def slowly(*arguments, **named):
    time.sleep(0.01)
    unlink(*arguments, **named)
    print("one", flush=True)

os.unlink = slowly
remove(Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name != "posix", reason="there are no such locks here")
def test_who_begins_while_a_folder_is_removed_keeps_what_is_written(tmp_path: Path) -> None:
    folder = tmp_path / f".out.mp4.{'0' * 12}.work"
    folder.mkdir()
    names = [f"{number:06d}.packets" for number in range(20)]
    for name in ("job.json", *names[:10], "lock", *names[10:]):
        (folder / name).touch()
    removes = subprocess.Popen(
        [sys.executable, "-c", REMOVES, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert removes.stdout is not None
    removes.stdout.readline()
    work = RenderCheckpoint(tmp_path / "out.mp4", "0" * 64, {}, fresh=False)
    for name in names:
        (work.folder / name).touch()
    removes.communicate(timeout=PATIENCE)
    assert {path.name for path in work.folder.iterdir()} == {"job.json", "lock", *names}
    work.release(done=True)
    assert list(tmp_path.iterdir()) == []


def test_long_names_that_begin_alike_do_not_meet(clip: Path, tmp_path: Path) -> None:
    """A long name loses its suffix, which decides what packets are: these were another codec's."""
    long = "ü" * 124 + "n"
    work = RenderCheckpoint(tmp_path / f"{long}.mp4", "0" * 64, {}, fresh=False)
    other = RenderCheckpoint(tmp_path / f"{long}.webm", "0" * 64, {}, fresh=False)
    for one in (work, other):
        assert one.folder.name.startswith(".ü")
        assert one.folder.name.encode().endswith(b".000000000000.work")
        one.release(done=True)


# On a disk of its own, with room for so many files and 64 kB, that may be full.
ON_A_FULL_DISK = """
mount -t tmpfs -o size=64k,nr_inodes=$1 none "$2" && cd "$2" || exit 77
[ "$3" = bytes ] && head -c 1M /dev/zero > big 2>/dev/null
shift 3
"$@"
code=$?
[ "$(ls -A | grep -v '^big$')" ] && exit 99
exit $code
"""


@pytest.mark.parametrize("output", ["out.mp4", "f_%d.png"])
@pytest.mark.parametrize(
    ("files", "full"), [(1, "files"), (2, "files"), (3, "files"), (9, "bytes")]
)
def test_a_disk_that_is_full_at_the_beginning_is_told(
    files: int, full: str, output: str, tmp_path: Path
) -> None:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("there are no file systems of a process's own here")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", ON_A_FULL_DISK, "sh", str(files), tmp_path, full,
         sys.executable, "-m", "ncavideo", "render", EXAMPLE, "-o", output, "--rules", "fire,moss",
         "--steps", "1", "--warmup", "2", "--cell", "32", "--duration", "0.2", "--quiet"],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("this process may make no file systems of its own")
    assert done.returncode == 1, done.stderr
    assert "full" in done.stderr or "No space left" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_folder_in_the_work_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / f".out.mp4.{'0' * 12}.work" / "a.part").mkdir(parents=True)
    (tmp_path / f".out.mp4.{'0' * 12}.work" / "000000.packets").touch()
    (tmp_path / f".out.mp4.{'0' * 12}.work" / "000000.npz").touch()
    for _ in range(2):  # the lock is let go of
        with pytest.raises(UserError, match=r"the folder .*\.work cannot be used: Is a directory"):
            RenderCheckpoint(tmp_path / "out.mp4", "0" * 64, {}, fresh=False)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("setpriv"),
    reason="only root can give a folder away and then do without its own powers",
)
def test_another_users_folder_is_one_sentence(clip: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out.mp4", RenderOptions(rules=("fire",))
    ruleset = find_ruleset(options.rules, None)
    key = fingerprint(clip, ruleset, in_order(options, ruleset))
    work = RenderCheckpoint(out, key, {}, fresh=False)
    work.release(done=True)
    work.folder.mkdir(0o700)
    (work.folder / "kept").touch()
    os.chown(work.folder, 65534, 65534)
    for command, code in ((["render", clip, "--rules", "fire", "-o", out], 2),
                          (["doctor", "--clean"], None)):  # fmt: skip
        done = subprocess.run(
            ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner",
             sys.executable, "-m", "ncavideo", *map(str, command)],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert (work.folder / "kept").exists()
        if code is not None:
            told = f"ncavideo: the folder {work.folder} cannot be used: Permission denied\n"
            assert (done.returncode, done.stderr) == (code, told)


@pytest.mark.parametrize("removed", [0, 5, 9, 10])
def test_a_removal_that_is_cut_short_is_still_known(
    removed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it left was once taken for no render's folder, and nothing removed it."""
    work = RenderCheckpoint(tmp_path / "out.mp4", "0" * 64, {"output": "out.mp4"}, fresh=False)
    for number in range(10):
        work.segment(number).write_bytes(b"x")
    unlink, gone = Path.unlink, list[Path]()

    def some(path: Path, missing_ok: bool = False) -> None:
        if len(gone) == removed:
            raise OSError(errno.EIO, "a broken disk")
        gone.append(path)
        unlink(path, missing_ok)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", some)
        work.release(done=True)
    assert [render.folder for render in unfinished(tmp_path)] == [work.folder]
    assert remove(work.folder)
    assert not any(tmp_path.iterdir())
