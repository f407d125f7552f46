"""The error that ends a bulk run, in words that tell what would be right."""

from __future__ import annotations


class BulkError(Exception):
    """The run cannot start or go on; the text is for the person who typed the command."""
