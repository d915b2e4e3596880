"""Speed of the exported page in a headless Chromium, rendered in software.

    python benchmarks/web_page.py [--ruleset elements] [--sizes 128 256 512] [--steps 60]

*Table*: with the weights in a table, as on a GPU; *literals*: as literals in the shader, as the
page does it where there is no GPU. Steps a second, the median of three runs.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

import results

from ncavideo.nca.ruleset import open_ruleset
from ncavideo.web.export import export

FLAGS = ["--headless=new", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
MEASURE = """([size, baked, steps]) => {
    ncavideo.pause();
    const begun = performance.now();
    const engine = new ncavideo.Engine(document.createElement("canvas"), ncavideo.set, baked);
    engine.resize(size, size);
    const inputs = new Float32Array(ncavideo.set.inputs.length * size * size);
    engine.setInputs(inputs.fill(1, 0, size * size));
    engine.step(2);
    engine.finish();
    const start = performance.now();
    engine.step(steps);
    engine.finish();
    return [start - begun, (1000 * steps) / (performance.now() - start)];
}"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ruleset", default="elements")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--steps", type=int, default=60)
    results.add_record(parser)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    numbers = {"ready after, ms": ".0f", "steps a second": ".0f"}
    table = results.Table("rates", {"cells": "", "weights": "", **numbers})
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        export(open_ruleset(arguments.ruleset), path)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for size in arguments.sizes:
            for baked in (True, False):
                # A table is an order of magnitude slower: a few steps tell.
                steps = arguments.steps if baked else max(3, arguments.steps // 10)
                runs = []
                for _ in range(3):
                    tab = browser.new_page()
                    tab.goto(path.as_uri())
                    runs.append(tab.evaluate(MEASURE, [size, baked, steps]))
                    tab.close()
                ready, rate = (statistics.median(values) for values in zip(*runs, strict=True))
                table.add(f"{size}x{size}", "literals" if baked else "table", ready, rate)
        browser.close()
    results.record(arguments, "web_page", table)


if __name__ == "__main__":
    main()
