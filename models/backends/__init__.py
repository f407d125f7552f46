"""Backends: the ways to run a source network, each of which takes images and gives the activations of its taps."""
