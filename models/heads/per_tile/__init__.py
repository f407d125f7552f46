"""A head of its own for each tile of a picture: what is usual in one place may be a defect in another."""
