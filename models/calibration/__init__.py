"""Scores of held-out good images in; thresholds, p-values and decisions out."""
