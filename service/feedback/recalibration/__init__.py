"""Parts that people have confirmed good become new thresholds for a product, whose promise stays valid."""
