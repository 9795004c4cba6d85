"""Stores of journals: in memory, in an SQLite file, in Redis."""
