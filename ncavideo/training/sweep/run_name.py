"""The name of a sweep's run: its values, readable, unique, and safe as a file name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

MOST_LETTERS = 120  # of a name; file systems take 255 bytes, and files in the folder have paths
PLAIN = re.compile(r"[a-z0-9._+-]*")


def run_name(values: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return a name such as `hidden=64,learning_rate=0.001` for values by dotted fields.

    `labels`: how the fields are called, from `short_labels` of all the sweep's. A value that cannot
    stand in a file name as it is, or a name that would be too long, is cut to what can, and a
    digest of the exact values follows. The name depends on neither the order nor the other runs'
    values, so that it stays the same when values are added to the sweep.
    """
    parts, exact = [], True
    for field, value in sorted(values.items()):
        text = _text(value)
        exact = exact and text is not None
        parts.append(f"{labels[field]}={_cut(value) if text is None else text}")
    name = ",".join(parts)
    if exact and len(name) <= MOST_LETTERS:
        return name
    digest = hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()[:8]
    return f"{name[: MOST_LETTERS - 9]}-{digest}"


def short_labels(fields: Iterable[str]) -> dict[str, str]:
    """Return the last word of each dotted field, the whole where two fields end alike."""
    fields = list(fields)
    last = [field.rpartition(".")[2] for field in fields]
    return {
        field: word if last.count(word) == 1 else field
        for field, word in zip(fields, last, strict=True)
    }


def _text(value: Any) -> str | None:
    """Return a value's text if it can be told from every other value's, else None."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list) and value and all(isinstance(v, int | float) for v in value):
        return "-".join(repr(v) for v in value)
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    return None


def _cut(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^a-z0-9._+]+", "-", text.lower()).strip("-.")[:32]
