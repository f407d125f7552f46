"""Computations that several methods share: whitening, maps."""
