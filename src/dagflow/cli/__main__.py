"""The console script `dagflow`, which explains itself where its libraries are missing."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]

LIBRARIES = ("typer", "rich")


def main() -> None:
    """Run the command line; leaves through `SystemExit` with the exit status."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"the command line needs {' and '.join(missing)}: pip install 'dagflow[cli]'")
    from dagflow.cli.app import app

    app(prog_name="dagflow")


if __name__ == "__main__":
    main()
