"""What Alembic runs: the migrations of one schema on the connection that `run.migrate` gives."""

from alembic import context

_attributes = context.config.attributes
context.configure(
    connection=_attributes["connection"],
    version_table="alembic_version",
    version_table_schema=_attributes["schema"],
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
