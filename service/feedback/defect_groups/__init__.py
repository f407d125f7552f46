"""Recurring defects: unusual regions of kept pictures, grouped by their source activations."""
