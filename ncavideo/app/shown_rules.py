"""What is asked for has the rules that the page shows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ncavideo.app.part import part


def shown_rules(inputs: Collection[Any], rules: Any) -> str:
    """Return the script that gives an event the rules of the swatches, for its `js`.

    `inputs`: the event's, as it is given them: a list, or a set, whose values Gradio sends in the
    order in which the components were made. `rules`: which of them has the chosen rules.
    """
    sent = sorted(inputs, key=lambda made: made._id) if isinstance(inputs, set) else list(inputs)
    return part("shown_rules.js").replace("RULES_AT", str(sent.index(rules)))
