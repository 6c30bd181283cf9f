"""Alembic migrations, one history for the three schemas: each runs it for its own schema at start.

`run.migrate` is the way in. Not here: the tables as queries see them (`registry_service.storage.schema`).
"""
