"""Runs the migrations on the connection that `service.feedback.database` has begun a transaction on."""

from __future__ import annotations

from alembic import context

from service.feedback.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
