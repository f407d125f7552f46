"""PatchCore: distances to the nearest patches of good parts (Roth et al., CVPR 2022)."""
