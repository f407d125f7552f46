"""The migrations of the feedback store, which Alembic runs."""
