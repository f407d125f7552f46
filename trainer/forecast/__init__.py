"""Says before a fit how long it will take here and how much memory, by a short trial of it."""
