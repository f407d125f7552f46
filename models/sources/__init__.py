"""The registry of source networks: architectures, taps, weights and their hashes."""
