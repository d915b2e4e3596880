"""The log in the run's own folder: a JSON line every ten iterations, and its plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ncavideo.util.atomic_write import replacing

LOG = "log.jsonl"
PLOT = "loss.png"
NOT_LOSSES = ("iteration", "rate", "seconds", "kinds", "histories")


def append(folder: Path, line: dict[str, Any]) -> None:
    """Add a line to the log."""
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the log's lines, without the half of one that a kill may have left."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [found for line in lines if (found := _parsed(line)) is not None]


def cut(folder: Path, iteration: int) -> None:
    """Remove the lines of iterations after `iteration`: they are about to be done again."""
    kept = [line for line in read(folder) if line["iteration"] <= iteration]
    if (folder / LOG).exists():
        text = "".join(json.dumps(line) + "\n" for line in kept)
        with replacing(folder / LOG) as partial:
            partial.write_text(text, encoding="utf-8")


def plot(folder: Path) -> None:
    """Draw the loss terms, and the style distances by request and by history, as `loss.png`.

    Without matplotlib, which the extra `train` brings, there is no plot.
    """
    lines = [line for line in read(folder) if "total" in line]
    try:
        # Not pyplot: no window, no global state, any thread.
        from matplotlib.figure import Figure
    except ImportError:
        return
    if len(lines) < 2:
        return
    at = [line["iteration"] for line in lines]
    # Without style pictures there is no distance to them.
    keys = [
        key
        for key in ("kinds", "histories")
        if any(value for line in lines for value in line.get(key, {}).values())
    ]
    count = 1 + len(keys)
    figure = Figure(figsize=(13 / 3 * count, 4.5), dpi=100, layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    terms = [k for k in lines[-1] if k not in NOT_LOSSES]
    for term in terms:
        values = [line.get(term) for line in lines]
        # Logarithmic: a term that is zero, as it should be, leaves a gap.
        shown = [v if v else float("nan") for v in values]
        panels[0].plot(at, _smooth(shown), label=term, linewidth=2 if term == "total" else 1)
    panels[0].set_title("loss terms, before their weights")
    for panel, key in zip(panels[1:], keys, strict=True):
        names = sorted({name for line in lines for name in line.get(key, {})})
        for name in names:
            points = [(line["iteration"], line[key][name]) for line in lines if name in line[key]]
            panel.plot([p[0] for p in points], _smooth([p[1] for p in points]), label=name)
        panel.set_title("style distance by " + ("request" if key == "kinds" else "history"))
    for panel in panels:
        panel.set_yscale("log")
        panel.set_xlabel("iteration")
        panel.grid(alpha=0.25)
        panel.legend(fontsize=7)
    with replacing(folder / PLOT) as partial:
        figure.savefig(partial)


def _smooth(values: list[float]) -> list[float]:
    """Return running means: single iterations are of different samples, and jump."""
    smoothed: list[float] = []
    mean = float("nan")
    for value in values:
        if value == value:
            mean = value if mean != mean else 0.85 * mean + 0.15 * value
        smoothed.append(mean if value == value else float("nan"))
    return smoothed


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
        float(found["iteration"])
    except (ValueError, KeyError, TypeError):
        return None
    return dict(found)
