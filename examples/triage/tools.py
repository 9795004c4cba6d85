"""Functions of the triage graph."""

import re


def split_parts(ticket: str) -> list[str]:
    """Split a ticket into its sentences."""
    return [part for part in re.split(r"(?<=[.!?])\s+", ticket.strip()) if part]
