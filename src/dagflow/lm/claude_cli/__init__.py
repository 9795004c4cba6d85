"""Claude through its command line program, `claude -p`: a process for each request."""

from dagflow.lm.claude_cli.backend import ClaudeCLIBackend

__all__ = ["ClaudeCLIBackend"]
