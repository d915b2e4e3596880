"""Fill the tables of the documentation from the recorded results.

    python benchmarks/pages.py

A page says between two comments which table it shows, of which results, with which columns:

    <!-- table engines/rates: engine; x plain step=times the plain step -->
    <!-- end table -->

`RESULT/TABLE` names a table of `benchmarks/results/RESULT.json`; several of them, with the same
columns, become one. Without columns all are shown; `old=new` renames one. The text between the
comments is replaced by the table and a line with the command, the machine and the commit of the
measurement.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import results

# Where tables stand. A page without markers stays as it is.
PAGES = ("README.md", "benchmarks/README.md", "docs/**/*.md")
MARKER = re.compile(r"<!-- table ([^:\n]+?)(?:: ([^\n]+?))? -->\n(.*?)<!-- end table -->", re.S)
BEGIN = re.compile(r"^<!-- (?:end )?table\b", re.M)


def filled(text: str, folder: Path = results.FOLDER) -> str:
    """Return a page with its tables as they are in the results.

    Raises ValueError for a marker without an end, FileNotFoundError for an unknown result and
    KeyError for an unknown table or column.
    """
    if len(BEGIN.findall(text)) != 2 * len(MARKER.findall(text)):
        raise ValueError("a table's marker has no end, or its end has no marker")
    return MARKER.sub(lambda match: replacement(match, folder), text)


def replacement(match: re.Match[str], folder: Path) -> str:
    """Return a marked table anew."""
    columns = [column.strip() for column in (match[2] or "").split(";") if column.strip()]
    shown, used = [], []
    for source in match[1].split():
        name, _, table = source.partition("/")
        used.append(results.load(name, folder))
        whole = used[-1].tables[table]
        shown.append(whole.only(columns) if columns else whole)
    first = shown[0]
    if any(dict(table.columns) != dict(first.columns) for table in shown):
        raise ValueError(f"{match[1]}: the tables have different columns")
    rows = [row for table in shown for row in table.rows]
    text = results.Table(first.name, first.columns, rows).markdown()
    begin = match[0].splitlines()[0]
    return f"{begin}\n\n{text}\n\n{provenance(used)}\n\n<!-- end table -->"


def provenance(used: Iterable[results.Result]) -> str:
    """Return one line on how, where and at which commit results were measured."""
    used = list(used)
    parts = (
        unique(f"`{result.command}`" for result in used),
        unique(hardware(result.machine) for result in used),
        unique(f"{name} {number}" for r in used for name, number in r.versions.items()),
        unique(state(result) for result in used),
    )
    return f"*Measured with {'; '.join(', '.join(part) for part in parts)}.*"


def unique(words: Iterable[str]) -> list[str]:
    """Return the words without repetitions, in their order."""
    return list(dict.fromkeys(words))


def hardware(machine: Mapping[str, Any]) -> str:
    """Return a machine in words."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB,"
        f" {machine['gpu'] or 'no GPU'}"
    )


def state(result: results.Result) -> str:
    """Return which state of the code was measured, as far as that is known."""
    if result.commit:
        commit, dash, changed = result.commit.partition("-")
        return f"commit {commit[:8]}{dash}{changed}"
    return f"noted in commit {result.noted_in[:8]}" if result.noted_in else "commit unknown"


def pages() -> list[Path]:
    """Return the pages that may hold tables."""
    return [path for pattern in PAGES for path in sorted(results.ROOT.glob(pattern))]


def main() -> None:
    """Fill every page, and name those that changed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    for path in pages():
        text = path.read_text("utf-8")
        new = filled(text)
        if new != text:
            path.write_text(new, "utf-8")
            print(path.relative_to(results.ROOT))


if __name__ == "__main__":
    main()
