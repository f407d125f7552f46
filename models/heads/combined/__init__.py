"""Several methods on one source pass, whose scores become one verdict."""
