"""Sending a rule set to the Hugging Face hub: its file, a model card, and a sheet of its rules."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ncavideo.nca.hub import FILE, SCHEME, hub_library, reason
from ncavideo.nca.rule_sheet import sheet_picture
from ncavideo.nca.ruleset import RuleSet
from ncavideo.util.errors import UserError


def push(ruleset: RuleSet, repo: str, private: bool = False) -> str:
    """Send a rule set to `user/repo`, made if need be; return the page's address.

    Raises `UserError` when the hub refuses, for example because nobody is logged in.
    """
    if re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII) is None:
        raise UserError(f"{repo!r} is not a repository's name: write user/repo")
    hub = hub_library()
    api = hub.HfApi()
    # Before the sheet is drawn, which takes a while: a refusal comes at once.
    _taken(repo, lambda: api.create_repo(repo, private=private, exist_ok=True))
    with tempfile.TemporaryDirectory() as folder:
        path, sheet = Path(folder) / FILE, Path(folder) / "sheet.png"
        ruleset.save(path)
        sheet_picture([ruleset]).save(sheet)
        files = {FILE: path, "sheet.png": sheet, "README.md": model_card(ruleset, repo).encode()}
        parts = [hub.CommitOperationAdd(name, content) for name, content in files.items()]
        message = f"The rule set {ruleset.name}"
        done = _taken(repo, lambda: api.create_commit(repo, parts, commit_message=message))
    return str(getattr(done, "repo_url", f"{SCHEME}{repo}"))


def _taken(repo: str, send: Callable[[], Any]) -> Any:
    """Return what the hub answers to `send`. Raises `UserError` when it refuses."""
    try:
        return send()
    except Exception as error:  # its HTTP library's own, another one in each major version
        raise UserError(
            f"the hub did not take {repo}: {reason(error)} (log in with `hf auth login`, or set"
            " HF_TOKEN)"
        ) from error


def model_card(ruleset: RuleSet, repo: str) -> str:
    """Return the repository's README, with the metadata that the hub reads."""
    rules = "\n".join(
        f"| `{rule.name}` | {_cell(rule.prompt)} | {_cell(rule.style)} | {_cell(rule.credit)} |"
        for rule in ruleset.rules
    )
    origin = ruleset.provenance
    names = ",".join(ruleset.rule_names[:2])
    return f"""---
library_name: ncavideo
tags: [neural-cellular-automata, texture-synthesis, video, style-transfer]
---

# {ruleset.name}

A rule set for [ncavideo](https://pypi.org/project/ncavideo): one neural cellular automaton of
{ruleset.channels} channels and {ruleset.hidden} hidden units that grows {len(ruleset.rules)} \
textures.

![Every rule, from dark to bright](sheet.png)

    ncavideo render in.mp4 --ruleset {SCHEME}{repo} --rules {names}

| rule | prompt | style | credit |
| --- | --- | --- | --- |
{rules}

Trained {origin.get("date", "at an unknown date")}, {origin.get("iterations", "unknown")} \
iterations, style features {origin.get("style_features", "unknown")}, text guide \
{origin.get("guide", "unknown")}. The file holds the whole recipe: `ncavideo presets show \
{SCHEME}{repo} --json`.
"""


def _cell(text: str) -> str:
    """Return text that cannot break out of a table's cell."""
    return " ".join(text.replace("|", "\\|").split()) or "-"
