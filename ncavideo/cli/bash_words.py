"""Completion in bash of words with `=` and `:` in them, as `fire=segment:person`."""

from __future__ import annotations

import os
from typing import Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    split_arg_string,
)

LINE = "_NCAVIDEO_LINE"  # the command line up to the cursor, in the environment
BREAKS = "=:"  # those of bash's COMP_WORDBREAKS that stand in our words


class BashWords(BashComplete):
    """Bash with the whole line instead of the words that it splits at `=` and `:`.

    Bash replaces only what follows the last of those: completions begin there.
    """

    source_template = BashComplete.source_template.replace(
        "COMP_CWORD=$COMP_CWORD", f'COMP_CWORD=$COMP_CWORD {LINE}="${{COMP_LINE:0:$COMP_POINT}}"'
    )

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._typed = 0  # characters of a completion that bash keeps

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor's, and as much as there is of that one."""
        line = os.environ.get(LINE)
        if line is None:
            return super().get_completion_args()
        words = split_arg_string(line)[1:]
        last = "" if not words or line[-1:].isspace() else words.pop()
        self._typed = max(last.rfind(sign) for sign in BREAKS) + 1
        return words, last

    def format_completion(self, item: CompletionItem) -> str:
        """Return what the script reads: the kind, and the part that bash puts in."""
        return f"{item.type},{item.value[self._typed :]}"


add_completion_class(BashWords)
