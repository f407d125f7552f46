"""Image files in; the input of the network, statistics and map pictures out."""
