"""Parts of the mkdocs site from outside of docs/: pictures, three pages, the live gallery."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
FOLDERS = ("examples", "presets")
GALLERY = """<iframe src="../live/index.html" title="All presets, live"
 style="width: 100%; height: 46rem; border: 0; border-radius: 8px"></iframe>

[On a page of its own](live/index.html){target=_blank}"""
SUFFIXES = (".jpg", ".png")
# Files that GitHub and the source distribution want elsewhere, by the names of their pages.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}


def on_files(files: Files, config: Any) -> None:
    """Add the pictures and pages from outside of docs/."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES:
                name = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, name, abs_src_path=str(path)))
    for source, name in PAGES.items():
        text = (ROOT / source).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    for page in _live(config):
        files.append(page)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links that are right in the repository be right in the site, and the gallery run."""
    if page.file.src_uri == "gallery.md":
        # The repository has no pages that run: there a picture stands for them.
        markdown = re.sub(r"!\[.*?\]\(pictures/gallery-page.jpg\)", GALLERY, markdown)
    for source, name in PAGES.items():
        markdown = re.sub(rf"\]\((\.\./)?{re.escape(source)}", f"]({name}", markdown)
    return re.sub(r"\]\(\.\./(examples|presets)/", r"](\1/", markdown)


def _live(config: Any) -> list[File]:
    """Return the gallery's pages, with a rule set running in each.

    They are files of the site, so that a link to one that is not there is a warning.
    """
    from ncavideo.nca.catalog import plain_presets
    from ncavideo.nca.ruleset import RuleSet
    from ncavideo.web.gallery import gallery

    # A variant looks much like its set, and each page is a megabyte of the site.
    rulesets = [RuleSet.load(path) for path in plain_presets().values()]
    with tempfile.TemporaryDirectory() as folder:
        pages = gallery(rulesets, Path(folder))
        return [
            File.generated(config, f"live/{page.name}", content=page.read_text("utf-8"))
            for page in pages
        ]
