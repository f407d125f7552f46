"""SPADE: distances to the most similar good pictures, place by place (Cohen and Hoshen, 2020)."""
