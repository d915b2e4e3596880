"""What is installed in versions that nobody has tried is told, by doctor and by the first error."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import av
import pytest
from click.testing import CliRunner, Result

from ncavideo.cli import doctor
from ncavideo.cli.main import main
from ncavideo.nca import engines
from ncavideo.util import tested
from ncavideo.util.tested import Range, Untried, release

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("versions")


def test_the_page_is_written_from_the_data(versions: ModuleType) -> None:
    assert versions.PAGE.read_text("utf-8") == versions.page()


def test_every_dependency_was_tried_at_its_floor(versions: ModuleType) -> None:
    needed = versions.dependencies()
    assert {"av", "llvmlite", "gradio", "tomli-w", "open-clip-torch"} <= set(needed)
    assert set(tested.tested()) == {"python", *needed}
    floors = {
        name: release(specifier.split(">=")[1].split(",")[0])
        for name, (specifier, _) in needed.items()
    }
    assert floors == {name: release(tested.tested()[name].oldest) for name in needed}
    # One bound: what was tried last, and its fixes.
    for name, (specifier, _) in needed.items():
        if "<" in specifier:
            newest = release(tested.tested()[name].newest)
            bound = release(specifier.split("<")[1])
            assert newest < bound == (newest[0], newest[1] + 1), name


def test_what_uses_private_parts_is_bounded(versions: ModuleType) -> None:
    for name in ("numba", "llvmlite"):
        assert ",<" in versions.dependencies()[name][0]


def test_python_is_what_the_package_says(versions: ModuleType) -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    python = tested.tested()["python"]
    assert f'requires-python = ">={python.oldest}"' in text
    assert f"Python :: {python.newest}" in text
    assert f"Python {python.oldest} to {python.newest}" in (ROOT / "README.md").read_text("utf-8")


def test_recording_keeps_the_other_end_and_what_is_not_here(
    versions: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data.json"
    before = {name: {"oldest": "0.1", "newest": "0.2"} for name in ("av", "ray", "gone")}
    data.write_text(json.dumps(before))
    here = {"python": "3.13.5", "av": "19.0.2", "torch": "2.14.1+cpu"}
    monkeypatch.setattr(tested, "DATA", data)
    monkeypatch.setattr(tested, "installed", here.get)
    versions.record("newest")
    assert json.loads(data.read_text()) == {
        "python": {"oldest": "3.13", "newest": "3.13"},
        "av": {"oldest": "0.1", "newest": "19.0.2"},
        "ray": {"oldest": "0.1", "newest": "0.2"},
        "torch": {"oldest": "2.14.1", "newest": "2.14.1"},
    }


@pytest.mark.parametrize(
    ("version", "side"),
    [("17.1.0", -1), ("18", 0), ("18.1.0", 0), ("19.0.2", 0), ("19.0.2+cpu", 0), ("19.0.10", 1)],
)
def test_versions_are_compared_as_numbers(version: str, side: int) -> None:
    assert Range("18.0.0", "19.0.2").side(version) == side


def test_the_sentence_has_the_command() -> None:
    tried = Range("18.0", "19.0.2")
    assert str(Untried("av", "20.0", tried)) == (
        "av 20.0 is newer than any tried (18.0 to 19.0.2): pip install 'av<=19.0.2'"
    )
    assert str(Untried("av", "17.1", tried)) == (
        "av 17.1 is older than ncavideo needs (18.0 to 19.0.2): pip install 'av>=18.0,<=19.0.2'"
    )
    assert str(Untried("python", "3.15.0", Range("3.11", "3.13"))) == (
        "python 3.15.0 is newer than any tried (3.11 to 3.13): use Python 3.13"
    )
    assert "than any tried (1.17.0): pip" in str(Untried("x", "2", Range("1.17.0", "1.17.0")))


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch):
    """Let packages seem to be here in other versions, and the rest in tried ones."""
    here = tested.installed

    def pretend(**others: str | None) -> None:
        names = {name.replace("_", "-"): version for name, version in others.items()}

        def seen(package: str) -> str | None:
            if package in names:
                return names[package]
            return tested.tested()[package].newest if here(package) else None

        monkeypatch.setattr(tested, "installed", seen)
        monkeypatch.setattr(doctor, "installed", seen)

    return pretend


def lines(result: Result) -> dict[str, str]:
    return {line[4:].split(":")[0]: line for line in result.stdout.splitlines()}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long and is not about versions."""
    monkeypatch.setattr(doctor, "_engines", list)


def test_doctor_doubts_what_is_newer(pretend, quick: None) -> None:
    pretend(numpy="99.1", gradio="77.0", python="3.11.99")
    done = CliRunner().invoke(main, ["doctor"])
    said = lines(done)
    assert done.exit_code == 0, done.stdout
    newest = tested.tested()["numpy"].newest
    assert said["numpy"].startswith("??  numpy: numpy 99.1 is newer than any tried")
    assert said["numpy"].endswith(f"pip install 'numpy<={newest}'")
    assert said["gradio"].startswith("??  gradio")
    assert said["python"].startswith("ok  python: 3.11.99 on ")
    facts = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    assert {check["what"] for check in facts if check["doubt"]} >= {"numpy", "gradio"}


@pytest.mark.parametrize(
    ("package", "version", "code"),
    [("av", "17.1.0", 1), ("matplotlib", "3.0", 0), ("python", "3.10.2", 1), ("tqdm", None, 1)],
)
def test_doctor_fails_for_what_is_too_old(
    pretend, quick: None, package: str, version: str | None, code: int
) -> None:
    pretend(**{package: version})
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == code, done.stdout
    mark = "NO" if code else "--"  # nothing needs matplotlib but training's plots
    assert lines(done)[package].startswith(f"{mark}  {package}: ")


def test_doctor_fails_where_auto_passes_an_engine_over(monkeypatch: pytest.MonkeyPatch) -> None:
    load = engines._load

    def without_fused(name: str) -> type[engines.Engine]:
        if name == "fused":
            raise ImportError("cannot import name 'cgutils' from 'numba.core'")
        return load(name)

    monkeypatch.setattr(engines, "_load", without_fused)
    monkeypatch.setattr(engines, "choose_device", lambda device="auto": "cpu")
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 1
    assert "cannot import name 'cgutils'" in lines(done)["engine fused"]
    # On a card `auto` never asks for it, but for these.
    assert not engines.by_itself("fused", "cuda")
    assert engines.by_itself("folded", "cuda")
    assert engines.by_itself("triton", "cuda")
    assert not engines.by_itself("triton", "cpu")


def test_doctor_renders(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    """What imports well and fails only when it is called is found, too: so did PyAV 19."""
    done = CliRunner().invoke(main, ["doctor"])
    assert lines(done)["render"] == "ok  render: 3 of 3 small frames rendered"
    opened = av.open

    def without_reading(path: str, mode: str = "r", **options: object) -> object:
        if mode == "r":
            raise TypeError("open() got an unexpected keyword argument 'metadata_errors'")
        return opened(path, mode, **options)

    monkeypatch.setattr(av, "open", without_reading)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 1
    assert "unexpected keyword argument" in lines(done)["render"]


def test_doctor_goes_on_where_a_library_breaks(
    monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    def broken() -> None:
        raise OSError("libcudart.so.13:\ncannot open shared object file")

    monkeypatch.setattr(doctor, "_devices", broken)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 1
    said = lines(done)
    assert said["devices"].endswith("OSError: libcudart.so.13: cannot open shared object file")
    assert said["encoders"].startswith("ok")


@pytest.mark.parametrize("kind", [ImportError, AttributeError, TypeError])
def test_the_first_error_tells(
    kind: type[Exception], pretend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken() -> None:
        raise kind("something is not there")

    monkeypatch.setattr(doctor, "examine", broken)
    log = tmp_path / "log"
    pretend()
    assert isinstance(CliRunner().invoke(main, ["doctor"]).exception, kind), "nothing is outside"
    pretend(numpy="99.1")
    done = CliRunner().invoke(main, ["doctor", "--log-file", str(log)])
    assert done.exit_code == 1
    assert done.stderr.startswith(
        f"ncavideo: {kind.__name__}: something is not there; numpy 99.1 is newer than any tried ("
    )
    assert len(done.stderr.splitlines()) == 1
    assert "something is not there" in log.read_text() and "Traceback" in log.read_text()
    pretend(numpy="99.1", av="17.1.0")
    done = CliRunner().invoke(main, ["doctor"])
    assert "av 17.1.0 is older than" in done.stderr and "numpy" not in done.stderr


def test_other_errors_are_not_put_on_versions(pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "examine", broken)
    pretend(numpy="99.1")
    done = CliRunner().invoke(main, ["doctor"])
    assert isinstance(done.exception, ZeroDivisionError)


@pytest.fixture(scope="module")
def old_av(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a program that finds a PyAV which is too old, really installed."""
    folder = tmp_path_factory.mktemp("old")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, "--only-binary", ":all:", "av==17.1.0"], check=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def test_an_old_pyav_is_named_by_the_first_error(old_av: dict[str, str], tmp_path: Path) -> None:
    clip = ROOT / "examples" / "clip.mp4"
    nca = [sys.executable, "-m", "ncavideo"]
    for command in (
        ["render", str(clip), "--rules", "fire", "-o", "out.mp4"],
        ["batch", str(clip), "--rules", "fire", "--out-dir", "out"],
        ["doctor"],
    ):
        done = subprocess.run(
            [*nca, *command], env=old_av, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 1, done.stderr
        said = done.stdout + done.stderr
        assert "Traceback" not in said
        assert "av 17.1.0 is older than ncavideo needs" in said
        assert "pip install 'av>=18" in said
