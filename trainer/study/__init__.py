"""Grids of trainings over data sets, variants and seeds, with one table of what came out."""
