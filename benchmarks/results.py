"""Results of the benchmarks as data, with the machine and the versions of packages.

A benchmark collects its figures in a `Table`, which prints each row as it is measured. With
`--record` it writes them to `benchmarks/results/NAME.json`; `pages.py` renders the documentation's
tables from these files. Without `--record` nothing is written, so that a casual run on a busy
machine replaces nothing.

A file holds `command`, `commit` (None where it is unknown), `machine`, `versions` and `tables`.
Files that were transferred from the notes of earlier releases have `noted_in`, the commit that
wrote the figures down, in place of the commit that was measured.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncavideo.util import tested
from ncavideo.util.device import cores

ROOT = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / "results"
PACKAGES = ("python", "numpy", "numba", "opencv-python-headless", "av", "torch")
SOURCES = ("ncavideo", "presets", "benchmarks/*.py")  # what decides a figure

# A number, a mean with its deviation, a word, or nothing.
Cell = float | int | str | Sequence[float] | None


@dataclass
class Table:
    """One table. `columns` maps each column's name to the format of its numbers, such as `.2f`."""

    name: str
    columns: Mapping[str, str]
    rows: list[list[Cell]] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """Add a row and print it, after the header if it is the first."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{self.name} has {len(self.columns)} columns, not {len(cells)}")
        if not self.rows:
            print("\n" + "\n".join(self.header()))
        self.rows.append([plain(cell) for cell in cells])
        print(self.line(self.rows[-1]), flush=True)

    def header(self) -> list[str]:
        """Return the two first lines of the table in Markdown."""
        return [f"| {' | '.join(self.columns)} |", "|" + " --- |" * len(self.columns)]

    def line(self, row: Sequence[Cell]) -> str:
        """Return a row in Markdown."""
        cells = zip(row, self.columns.values(), strict=True)
        return f"| {' | '.join(shown(cell, spec) for cell, spec in cells)} |"

    def only(self, columns: Sequence[str]) -> Table:
        """Return the table with these columns; `old=new` renames one. Raises KeyError."""
        names = list(self.columns)
        pairs = [(old, new or old) for old, _, new in (c.partition("=") for c in columns)]
        for old, _ in pairs:
            if old not in self.columns:
                raise KeyError(f"{self.name} has no column {old!r}, but {', '.join(names)}")
        places = [names.index(old) for old, _ in pairs]
        kept = {new: self.columns[old] for old, new in pairs}
        return Table(self.name, kept, [[row[place] for place in places] for row in self.rows])

    def markdown(self) -> str:
        """Return the table in Markdown."""
        return "\n".join([*self.header(), *map(self.line, self.rows)])


@dataclass(frozen=True)
class Result:
    """What one benchmark measured, and where."""

    name: str
    command: str
    commit: str | None
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    tables: Mapping[str, Table]
    noted_in: str | None = None


def plain(cell: Any) -> Cell:
    """Return a cell as JSON can hold it: NumPy's numbers as Python's, NaN as None."""
    if isinstance(cell, list | tuple):
        return [float(number) for number in cell]
    value = cell.item() if hasattr(cell, "item") else cell
    return None if isinstance(value, float) and math.isnan(value) else value


def shown(cell: Cell, spec: str) -> str:
    """Return a cell as text, numbers in the column's format."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int | float):
        return format(cell, spec)
    return " ± ".join(format(number, spec) for number in cell)


def machine() -> dict[str, Any]:
    """Return the facts about the machine: CPU, cores and memory in GB, and GPU, None without."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"cpu": processor(), "cores": cores(), "memory_gb": round(memory), "gpu": gpu}


def processor() -> str:
    """Return the processor's name, or its architecture where the system does not tell it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    if sys.platform == "darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that speed and bits depend on."""
    found = {package: tested.installed(package) for package in PACKAGES}
    return {package: version for package, version in found.items() if version}


def commit() -> str | None:
    """Return the commit, with `-dirty` if a source file differs from it; None outside of git."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)

    head = git("rev-parse", "HEAD")
    if head.returncode:
        return None
    changed = git("status", "--porcelain", "--", *SOURCES).stdout.strip()
    return head.stdout.strip() + ("-dirty" if changed else "")


def add_record(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark the option `--record`."""
    parser.add_argument(
        "--record", action="store_true", help="write the figures to benchmarks/results"
    )


def record(asked: argparse.Namespace, name: str, *tables: Table) -> None:
    """Write the tables as `NAME.json` if `--record` was given.

    `name` is the benchmark's, with what it was about where one script measures several things.
    """
    if not asked.record:
        return
    path = write(name, tables, command_line(), FOLDER)
    print(f"wrote {path}")


def command_line() -> str:
    """Return the command that runs now, without `--record`."""
    # Files of the repository are named from its root: where that lies is nobody's business.
    root = f"{FOLDER.resolve().parents[1]}/"
    words = [word.removeprefix(root) for word in sys.argv[1:] if word != "--record"]
    script = Path(sys.argv[0]).name
    return shlex.join(["python", f"benchmarks/{script}", *words])


def write(name: str, tables: Sequence[Table], command: str, folder: Path = FOLDER) -> Path:
    """Write what `command` measured just now, on this machine; return the file."""
    content = {
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "tables": {t.name: {"columns": dict(t.columns), "rows": t.rows} for t in tables},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(as_json(content), "utf-8")
    return path


def as_json(content: Mapping[str, Any]) -> str:
    """Return a result as JSON with a line for each row, so that a difference shows the row."""
    tables = {name: table["rows"] for name, table in content["tables"].items()}
    marked = {name: {**table, "rows": f"@{name}@"} for name, table in content["tables"].items()}
    text = json.dumps({**content, "tables": marked}, indent=1, ensure_ascii=False)
    for name, rows in tables.items():
        lines = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
        text = text.replace(f'"@{name}@"', f"[\n{lines}\n   ]")
    return text + "\n"


def load(name: str, folder: Path = FOLDER) -> Result:
    """Read `NAME.json`. Raises FileNotFoundError, and KeyError if a part is missing."""
    content = json.loads((folder / f"{name}.json").read_text("utf-8"))
    tables = {
        table: Table(table, given["columns"], given["rows"])
        for table, given in content["tables"].items()
    }
    return Result(
        name,
        content["command"],
        content["commit"],
        content["machine"],
        content["versions"],
        tables,
        content.get("noted_in"),
    )


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all results."""
    return sorted(path.stem for path in folder.glob("*.json"))
