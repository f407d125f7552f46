"""Focus Your Distribution: parts brought to a common pose, then a Gaussian for each place (Zheng et al., 2021)."""
