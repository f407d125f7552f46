"""SimpleNet: a small network that tells patches of good parts from the same with noise (Liu et al., CVPR 2023)."""
