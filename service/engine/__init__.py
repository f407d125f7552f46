"""Batching, admission, workers and their faults: prepared images in, scores and maps out."""
