"""Verdicts in; out: whether a product's scores and images are still those that its artifact was calibrated on."""
