"""Prompts: their texts with variables, the classes of their answers, and the files that they stand in."""
