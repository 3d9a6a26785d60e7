"""Run by Alembic inside `store.records.database.migrate`, on its open connection."""

from alembic import context

from store.records.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
