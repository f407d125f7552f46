"""In: what makes a bulk run impossible. Out: one error whose words tell what would be right."""

from __future__ import annotations


class BulkError(Exception):
    """The run cannot start or go on; the text is for the person who typed the command."""
