"""Alembic: how the tables came to be, step by step. New steps are numbered files in versions/."""
