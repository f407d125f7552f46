"""Ways to run the source network: images in, tap activations out."""
