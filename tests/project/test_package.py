"""What is built for users holds all that the commands need, and works away from the checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# Files of other kinds than Python's that commands read from the package.
KINDS = {".mp4", ".safetensors", ".toml", ".js", ".css", ".html", ".json", ".typed"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel that was built from an sdist, and of that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def in_checkout() -> set[str]:
    names = subprocess.run(
        ["git", "ls-files", "ncavideo", "presets"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split("\n")
    files = {Path(name) for name in names if name}
    if not files:  # in an sdist there is no git
        files = {
            p.relative_to(ROOT) for top in ("ncavideo", "presets") for p in (ROOT / top).rglob("*")
        }
    kept = {p for p in files if p.suffix == ".py" or p.suffix in KINDS}
    return {p.as_posix() if p.parts[0] == "ncavideo" else f"ncavideo/{p}" for p in kept}


def test_the_wheel_holds_all_that_the_checkout_does(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert in_checkout() <= names
    looks = {f"ncavideo/looks/{path.name}" for path in (ROOT / "examples" / "looks").iterdir()}
    assert len(looks) >= 8 and looks <= names
    assert {Path(name).suffix for name in in_checkout()} >= KINDS - {".json"}
    # Nothing of the tests, benchmarks or examples lands in site-packages.
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"ncavideo"}


def test_the_sdist_holds_what_its_tests_need(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    missing = {name for name in tracked if name} - names
    assert {name for name in missing if not name.startswith(".git")} == set()


def test_an_installed_wheel_renders_away_from_the_checkout(built: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import ncavideo.cli.main as c; c.main()"
    )
    clip = str(ROOT / "examples" / "clip.mp4")
    for arguments in (
        ["presets", "list"],
        ["looks", "show", "overgrown"],
        ["render", clip, "--rules", "fire,moss", "--duration", "0.1", "--warmup", "2"],
        ["still", "--rules", "fire", "--size", "64x48", "--steps", "4", "-o", "fire.png"],
        ["export", "elements", "--html", "page.html"],
        ["doctor"],
    ):
        command = [sys.executable, "-P", "-c", script, str(site), *arguments]
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
        assert done.returncode == 0, (arguments, done.stderr)
        assert str(ROOT / "presets") not in done.stdout
    assert {p.name for p in elsewhere.iterdir()} == {"clip.fire-moss.mp4", "fire.png", "page.html"}
