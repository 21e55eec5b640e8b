"""Text within the width of the terminal. What goes into a file or a pipe is never broken."""

from __future__ import annotations

import os
import re
import sys

_INDENT = 4
"""Columns by which what does not fit stands further to the right than its line begins."""


def fitted(text: str) -> str:
    """Lines broken between words. A word that is longer than a line, such as a path, stays whole, so that it can be copied."""
    width = _columns()
    if width is None:
        return text
    return "\n".join(line if len(line) <= width else _broken(line, width) for line in text.split("\n"))


def _columns() -> int | None:
    """Of the terminal that standard output is, None where it is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):  # a closed stream has no file number
        return None


def _broken(line: str, width: int) -> str:
    import textwrap

    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(
        re.sub(" {3,}", "  ", line.strip()),  # columns that do not fit need not be aligned
        width,
        initial_indent=indent,
        subsequent_indent=indent + " " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
