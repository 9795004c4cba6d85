"""Executors that do the work of tasks elsewhere."""
