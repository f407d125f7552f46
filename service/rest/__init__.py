"""The HTTP surface: requests are read and admitted, the core judges their images, verdicts go back as JSON."""
