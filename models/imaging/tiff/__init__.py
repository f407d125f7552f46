"""Reads TIFF: its directory of tags, its strips and tiles, its samples."""
