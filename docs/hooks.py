"""What mkdocs does beside: pictures from outside of docs/, and the README's tour."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
FOLDERS = ("examples", "presets")
SUFFIXES = (".jpg", ".png")


def on_files(files: Files, config: Any) -> Files:
    """Add the pictures that pages show from outside of docs/."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES:
                name = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Find pictures where they are in the built site; take the README's first part as the tour."""
    if page.file.src_uri == "index.md":
        readme = (ROOT / "README.md").read_text("utf-8")
        markdown = readme.split("## What you can rely on")[0]
        markdown = re.sub(r"<!--.*?-->\n?", "", markdown)
        markdown = re.sub(r"\]\(docs/", "](", markdown)
        markdown = markdown.replace("](examples/gallery/README.md)", "](still.md)")
    return re.sub(r"\]\(\.\./(examples|presets)/", r"](\1/", markdown)
