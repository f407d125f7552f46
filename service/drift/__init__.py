"""Watches whether the scores and images of a product are still those that its artifact was calibrated on."""
