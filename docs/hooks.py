"""What mkdocs does beside: pictures from outside of docs/, the README's tour, the live gallery."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
FOLDERS = ("examples", "presets")
SUFFIXES = (".jpg", ".png")
AFTER_TOUR = "What you can rely on"
# Pages that are parts of the README, by their headings there.
PAGES = {
    "promises.md": "What you can rely on",
    "how.md": "How it works",
    "figures.md": "Figures",
    "developers.md": "For developers",
}


def on_post_build(config: Any) -> None:
    """Write the gallery's pages, with a rule set running in each, into the site."""
    from ncavideo.nca.catalog import presets
    from ncavideo.nca.ruleset import RuleSet
    from ncavideo.web.gallery import gallery

    rulesets = [RuleSet.load(path) for path in presets().values()]
    gallery(rulesets, Path(config["site_dir"]) / "live", overwrite=True)


def on_files(files: Files, config: Any) -> None:
    """Add the pictures that pages show from outside of docs/, and the README's parts as pages."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES:
                name = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, name, abs_src_path=str(path)))
    parts = _parts((ROOT / "README.md").read_text("utf-8"))
    for name, heading in PAGES.items():
        text = re.sub(r"^##", "#", parts[heading], flags=re.M)
        files.append(File.generated(config, name, content=_linked(f"# {heading}\n{text}")))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Find pictures where they are in the built site; take the README's beginning as the tour."""
    if page.file.src_uri == "index.md":
        readme = (ROOT / "README.md").read_text("utf-8")
        markdown = _linked(readme.split(f"## {AFTER_TOUR}")[0])
    return re.sub(r"\]\(\.\./(examples|presets)/", r"](\1/", markdown)


def _parts(readme: str) -> dict[str, str]:
    """Return the text under each of the README's second-level headings."""
    found = re.split(r"^## (.+)\n", readme, flags=re.M)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def _linked(markdown: str) -> str:
    """Return the README's text with its links as they are in the site."""
    markdown = re.sub(r"<!--.*?-->\n?", "", markdown)
    markdown = re.sub(r"\]\(docs/", "](", markdown)
    markdown = markdown.replace("](examples/gallery/README.md)", "](still.md)")
    return re.sub(r"\]\(benchmarks/(NOTES|README)\.md\)", "](benchmarks/speed.md)", markdown)
