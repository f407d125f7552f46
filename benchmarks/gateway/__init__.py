"""The line gateway by itself: faults at random, and its own share of a cycle."""
