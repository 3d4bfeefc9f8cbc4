"""Alembic's script folder: see :mod:`bot.store.migrate`."""
