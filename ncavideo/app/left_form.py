"""The form as it was left, which the browser keeps until the page is opened again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ncavideo.app.render_form import AS_ALL, asked_options, own_controls
from ncavideo.app.sessions import Session
from ncavideo.util.errors import UserError


def left_form(
    kept: Any, names: Iterable[str], session: Session
) -> tuple[str | None, dict[str, Any] | None]:
    """Return the name of the clip and the values that a browser kept, None where it has none.

    `names`: of the form's inputs. Raises `UserError` for values that are no form's, or of a rule
    set that is not here.
    """
    if kept is None:
        return None, None
    try:
        clip, values = kept["clip"], kept["values"]
        named = {name: values[name] for name in names}
        if not set(named["rules"]) <= set(session.ruleset(named["ruleset"]).rule_names):
            raise UserError(f"the rule set {named['ruleset']} has other rules now")
        if named["rules"]:
            path = session.ruleset_path(named["ruleset"])
            controls = own_controls(named)
            own = [controls.get(rule, AS_ALL) for rule in named["rules"]]
            asked_options({**named, "own": own}, path, Path("mask"))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError("another version of the app has kept it") from error
    return None if clip is None else str(clip), named
