"""Reads the three forms of a request body, from bytes as they arrive to encoded images."""
