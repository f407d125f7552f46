"""PaDiM: a Gaussian of patch features for each place (Defard et al., 2020)."""
