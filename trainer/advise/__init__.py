"""Chooses method, taps, size and combination on good pictures and painted defects alone."""
