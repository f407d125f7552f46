"""What a set of good pictures can teach: degenerate sets, scores without meaning, pictures that are no new ones."""
