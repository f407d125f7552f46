"""Makes values safe for a table that a spreadsheet opens: callers and file names choose some of the texts in it."""

from __future__ import annotations


def cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe; all else is left as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
