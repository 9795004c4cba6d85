"""Journals in an SQLite file: one that many processes may share, and that survives a crash."""

from dagflow.store.sqlite.session import SQLiteStore

__all__ = ["SQLiteStore"]
