"""How a sweep's runs ended: their losses, the table, and `sweep.json` in its folder."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ncavideo.training.loggers import folder as log
from ncavideo.training.sweep.run_name import short_labels
from ncavideo.util.atomic_write import replacing
from ncavideo.util.printable import printable

RESULTS, TABLE = "sweep.json", "table.txt"
LAST_SHARE = 0.1  # of the iterations: the final losses are the means of these
State = Literal["waiting", "training", "done", "stopped", "failed"]


@dataclass
class RunResult:
    """One run: its values, how it ended, and what it came to.

    `before`: it was done before this call; `losses`: each term's mean over the last tenth of the
    iterations, before its weight, empty before the first line of the log; `seconds`: of its
    iterations, all calls together; `ruleset`: the finished file, empty before; `reason`: of a
    failure.
    """

    name: str
    values: dict[str, Any]
    state: State = "waiting"
    before: bool = False
    iterations: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    ruleset: str = ""
    reason: str = ""

    def read_log(self, folder: Path) -> None:
        """Take the iterations, losses and seconds from the log of the run's `folder`."""
        lines = [line for line in log.read(folder) if "total" in line]
        if not lines:
            return
        last = lines[-1]["iteration"]
        self.iterations = max(self.iterations, last)
        final = [line for line in lines if line["iteration"] > last * (1 - LAST_SHARE)]
        terms = [name for name in lines[-1] if name not in log.NOT_LOSSES]
        self.losses = {
            name: statistics.fmean(line[name] for line in final if name in line) for name in terms
        }
        before = 0
        self.seconds = 0.0
        for line in lines:
            self.seconds += line["seconds"] * (line["iteration"] - before)
            before = line["iteration"]


@dataclass
class SweepResult:
    """All runs of a sweep, in its file's order; `base`: its base recipe as plain data."""

    name: str
    base: dict[str, Any]
    fields: list[str]
    runs: list[RunResult]

    def count(self, state: State) -> int:
        """Return how many runs are in a state."""
        return sum(run.state == state for run in self.runs)

    def ranked(self) -> list[RunResult]:
        """Return the runs, least style loss first, by the total where there is no style loss.

        The total counts the weights of the terms, which runs may differ in; the style loss before
        its weight does not.
        """
        style = any(run.losses.get("style") for run in self.runs)

        def key(run: RunResult) -> tuple[bool, float]:
            loss = run.losses.get("style" if style else "total")
            return run.state != "done" or loss is None, loss or 0.0

        return sorted(self.runs, key=key)

    def as_json(self) -> dict[str, Any]:
        """Return the results as plain data, the best run first."""
        return {
            "format": 1,
            "name": self.name,
            "recipe": self.base,
            "fields": self.fields,
            "runs": [asdict(run) for run in self.ranked()],
        }

    def table(self) -> str:
        """Return the results as aligned text, a run a line, the best first."""
        labels = short_labels(self.fields)
        rows = [[*labels.values(), "iterations", "total", "style", "seconds", "state", "rule set"]]
        for run in self.ranked():
            losses = [
                f"{run.losses[k]:.4g}" if k in run.losses else "-" for k in ("total", "style")
            ]
            rows.append(
                [
                    *(_shown(run.values[f]) if f in run.values else "-" for f in self.fields),
                    str(run.iterations), *losses, f"{run.seconds:.0f}", run.state,
                    printable(run.ruleset or run.reason or "-", keep=""),
                ]
            )  # fmt: skip
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
        return "\n".join(
            "  ".join([*(cell.rjust(w) for cell, w in zip(row, widths, strict=False)), row[-1]])
            for row in rows
        )

    def write(self, folder: Path) -> None:
        """Write `sweep.json` and `table.txt`. Raises `OSError`."""
        for name, text in (
            (RESULTS, json.dumps(self.as_json(), indent=1)), (TABLE, self.table() + "\n"),
        ):  # fmt: skip
            with replacing(folder / name) as partial:
                partial.write_text(text, encoding="utf-8")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = printable(text, keep="")
    return text if len(text) <= 32 else text[:29] + "..."
