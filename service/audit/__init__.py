"""The audit trail: every verdict as a record in a chain of files, which shows what was changed, removed or moved."""
