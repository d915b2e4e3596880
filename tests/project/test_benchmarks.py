"""The benchmarks can be begun; pages show what their recorded results say."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
# Modules of other benchmarks, which are not begun by themselves.
SHARED = ("clips", "metrics", "older_trainer", "results", "sass", "stage_worker", "style_network")
WITHOUT_FIGURES = ("alone", "pages", "versions")  # these write rule sets and pages
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
RESULTS = sorted(path.stem for path in (FOLDER / "results").glob("*.json"))
COMMIT = re.compile(r"[0-9a-f]{40}(-dirty)?")
PAGES = [ROOT / "README.md", FOLDER / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("results")


@pytest.fixture
def pages(results: ModuleType) -> ModuleType:
    return importlib.import_module("pages")


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_can_be_begun(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module(name)
    assert module.__file__ == str(FOLDER / f"{name}.py")
    if name not in SHARED:
        assert f"python benchmarks/{name}.py" in (module.__doc__ or "")
        assert callable(module.main)


def test_every_benchmark_is_named_where_they_are_introduced() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    measured = [name for name in NAMES if name not in (*SHARED, *WITHOUT_FIGURES)]
    assert [name for name in measured if f"`{name}.py`" not in text] == []


@pytest.mark.parametrize("name", [n for n in NAMES if n not in (*SHARED, *WITHOUT_FIGURES)])
def test_a_benchmark_offers_to_record(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "argv", [f"benchmarks/{name}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(name).main()
    assert end.value.code == 0
    assert "--record" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--record"]])
def test_only_record_writes(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: ModuleType
) -> None:
    upscale = importlib.import_module("upscale")
    monkeypatch.setattr(upscale, "RULES", ("fire",))
    monkeypatch.setattr(upscale, "SIDE", 64)
    monkeypatch.setattr(upscale, "FRAMES", ((64, 64),))
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks/upscale.py", "--ratio", "2", *words])
    upscale.main()
    assert [path.name for path in tmp_path.iterdir()] == (["upscale.json"] if words else [])
    if words:
        written = results.load("upscale", tmp_path)
        assert written.command == "python benchmarks/upscale.py --ratio 2"
        kept = results.load("upscale", FOLDER / "results")
        for name, table in kept.tables.items():  # the pages choose columns by their names
            assert set(table.columns) <= set(written.tables[name].columns)
        assert [row[:2] for row in written.tables["quality"].rows] == [
            ["fire", "cubic"],
            ["fire", "sharp"],
        ]


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_says_where_it_comes_from(name: str, results: ModuleType) -> None:
    text = (FOLDER / "results" / f"{name}.json").read_text("utf-8")
    content = json.loads(text)
    assert text == results.as_json(content)
    assert set(content) - {"noted_in"} == {"command", "commit", "machine", "versions", "tables"}
    assert content["commit"] is None or COMMIT.fullmatch(content["commit"])
    # Figures from before results were files: the commit that wrote them down is known.
    assert content["commit"] or COMMIT.fullmatch(content["noted_in"])
    assert set(content["machine"]) == {"cpu", "cores", "memory_gb", "gpu"}
    assert content["machine"]["cpu"] and content["machine"]["cores"] > 0
    assert "torch" in content["versions"]
    script = re.search(r"python benchmarks/(\w+)\.py", content["command"])
    assert script and script[1] in NAMES
    assert name.split("-")[0] == script[1]
    assert content["tables"]
    for table in content["tables"].values():
        assert table["rows"]
        assert all(len(row) == len(table["columns"]) for row in table["rows"])


@pytest.mark.parametrize("name", RESULTS)
def test_a_command_names_no_place_of_the_machine_it_ran_on(name: str, results: ModuleType) -> None:
    command = json.loads((FOLDER / "results" / f"{name}.json").read_text())["command"]
    assert not [word for word in command.split() if word.strip("'\"").startswith("/")]


def test_a_file_of_the_repository_is_recorded_from_its_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, results: ModuleType
) -> None:
    own = [str(FOLDER / "x.py"), "--picture", str(ROOT / "docs" / "x.jpg"), "--record"]
    monkeypatch.setattr(sys, "argv", own)
    assert results.command_line() == "python benchmarks/x.py --picture docs/x.jpg"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_shows_what_was_recorded(page: Path, pages: ModuleType) -> None:
    assert page in pages.pages()
    text = page.read_text("utf-8")
    assert text == pages.filled(text), "python benchmarks/pages.py fills the tables"


def test_every_result_is_shown_somewhere() -> None:
    shown = " ".join(
        sources
        for page in PAGES
        for sources in re.findall(r"^<!-- table ([^:>]+)", page.read_text("utf-8"), re.M)
    )
    assert {source.partition("/")[0] for source in shown.split() if "/" in source} == set(RESULTS)


def test_a_changed_result_changes_its_page(
    tmp_path: Path, results: ModuleType, pages: ModuleType
) -> None:
    table = results.Table("speed", {"engine": "", "rate, M": ".1f", "spread": ".2f"})
    table.add("fused", 46.04, (1.0, 0.25))
    table.add("torch", float("nan"), None)
    results.write("engines", [table], "python benchmarks/engines.py", tmp_path)
    page = "# Speed\n<!-- table engines/speed: engine; rate, M=rate -->\n<!-- end table -->\nEnd.\n"
    first = pages.filled(page, tmp_path)
    assert "| engine | rate |\n| --- | --- |\n| fused | 46.0 |\n| torch |  |\n" in first
    assert "`python benchmarks/engines.py`" in first and first.endswith("End.\n")
    assert pages.filled(first, tmp_path) == first
    assert "| fused | 46.0 | 1.00 ± 0.25 |" in pages.filled(
        page.replace(": engine; rate, M=rate", ""), tmp_path
    )
    table.rows[0][1] = 47.0
    results.write("engines", [table], "python benchmarks/engines.py", tmp_path)
    assert "| fused | 47.0 |" in pages.filled(first, tmp_path)


@pytest.mark.parametrize(
    ("marker", "error"),
    [
        ("<!-- table nothing/here -->\n<!-- end table -->\n", FileNotFoundError),
        ("<!-- table engines/nothing -->\n<!-- end table -->\n", KeyError),
        ("<!-- table engines/rates: nothing -->\n<!-- end table -->\n", KeyError),
        ("<!-- table engines/rates engines/grids -->\n<!-- end table -->\n", ValueError),
        ("<!-- table engines/rates -->\n", ValueError),
        ("text\n<!-- end table -->\n", ValueError),
    ],
)
def test_a_wrong_marker_is_an_error(marker: str, error: type[Exception], pages: ModuleType) -> None:
    with pytest.raises(error):
        pages.filled(marker)


def test_a_result_written_here_names_this_machine(tmp_path: Path, results: ModuleType) -> None:
    table = results.Table("figures", {"clip": "", "frames": ""})
    table.add("bikes", 250)
    results.write("render", [table], "python benchmarks/render.py", tmp_path)
    found = results.load("render", tmp_path)
    assert found.tables["figures"].rows == [["bikes", 250]]
    assert found.commit is None or COMMIT.fullmatch(found.commit)
    assert found.machine["cores"] >= 1 and found.machine["cpu"]
    assert found.versions["python"].startswith(f"{sys.version_info.major}.")


def test_a_row_has_as_many_cells_as_the_table_has_columns(results: ModuleType) -> None:
    with pytest.raises(ValueError, match="2 columns, not 1"):
        results.Table("figures", {"clip": "", "frames": ""}).add("bikes")
