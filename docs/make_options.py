"""Write docs/options.md: the table of the options, as `RenderOptions` has them.

python docs/make_options.py
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from ncavideo.rendering.option_table import Option, table
from ncavideo.rendering.options import RenderOptions

PAGE = Path(__file__).with_name("options.md")
HEAD = """\
# Options

<!-- Written by docs/make_options.py from ncavideo/rendering/options.py. -->

The options of a render. `ncavideo render`, `batch` and `preview` take them on the command line, and
`ncavideo.render()` takes them as arguments. An option belongs to

- a **look**: it can stand in a [look file](look.md) and in a [batch list](batch.md);
- a **file**: it is about one clip and its output, and can stand in a batch list;
- a **machine**: it says where the render is calculated;
- a **run**: it changes nothing in the output.

In look files, batch lists and Python, names have no `--`, and `_` for `-`; the table gives the name
in brackets where it is another.
"""
COLUMNS = ("Option", "Values", "Default", "Keyframes", "Belongs to", "Meaning")


def page() -> str:
    """Return the page's text."""
    parts = [HEAD]
    for heading, entries in groupby(table(RenderOptions).values(), lambda entry: entry.heading):
        rows = [COLUMNS, ("---",) * len(COLUMNS), *map(row, entries)]
        lines = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
        parts.append(f"## {heading}\n\n{lines}\n")
    return "\n".join(parts)


def row(entry: Option) -> tuple[str, ...]:
    """Return an option's line, a text a column."""
    name = f"`{entry.flag or entry.name}`"
    if entry.flag and entry.flag != "--" + entry.name.replace("_", "-"):
        name += f" (`{entry.name}`)"
    values = {"bool": "on, off", "int": "whole number", "float": "number", "text": "text"}
    allowed = entry.allowed_text or values.get(entry.kind, "texts")
    if entry.bounds and entry.kind == "int":
        allowed += ", whole"
    default = entry.default_text or ("required" if entry.required else "none")
    keyed = "yes" if entry.keyed else ""
    return name, allowed, default, keyed, entry.belongs, entry.help


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
