"""Writes a number of bytes for people: in MB where it is large, and to the byte, as limits are."""

from __future__ import annotations

MB = 1_000_000


def size_words(count: int) -> str:
    """33554432 -> "33.6 MB (33,554,432 bytes)", 700 -> "700 bytes"."""
    return f"{count / MB:,.1f} MB ({count:,} bytes)" if count >= MB else f"{count:,} bytes"
