"""Protocols by which a PLC or a computer triggers a station and reads its answer, one file each."""
