"""The files that a render reads, brought here where they are behind URLs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ncavideo.control import map_paths
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.fetch import fetch, is_url, url_path
from ncavideo.util.named import called
from ncavideo.util.scratch import scratch


def input_name(clip: str) -> Path:
    """Return the path of a clip, for a URL just the name of its file."""
    return Path(url_path(clip).name or "clip") if is_url(clip) else Path(clip)


@contextmanager
def local_inputs(
    clip: str, options: RenderOptions, tell: Callable[[str], None] = lambda note: None
) -> Iterator[tuple[Path, RenderOptions]]:
    """Give a path for the clip, and options whose controls name only local files.

    What is behind a URL is fetched into a temporary folder, which is removed with the block; the
    errors of the block name the URLs. `tell` is told of each. Raises what `fetch` does.
    """
    found: dict[str, Path] = {}
    with scratch() as fetched:

        def here(path: str) -> str:
            if not is_url(path):
                return path
            if path not in found:
                folder = fetched() / str(len(found))
                folder.mkdir()
                found[path] = fetch(path, folder, tell)
            return str(found[path])

        source = Path(here(clip))
        local = replace(
            options,
            control=tuple(map_paths(text, here) for text in options.control),
            light_control=options.light_control and map_paths(options.light_control, here),
            opacity_control=options.opacity_control and map_paths(options.opacity_control, here),
        )
        with called({path: url for url, path in found.items()}):
            yield source, local if local != options else options
