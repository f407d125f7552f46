"""Builds the image, runs it, asks it for a verdict and stops it: `python -m docker.trial`."""
