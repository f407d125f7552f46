"""Uninformed Students: what an ensemble of students gets wrong, and what it disagrees on (Bergmann et al., 2020)."""
