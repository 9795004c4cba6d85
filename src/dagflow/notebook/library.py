"""The one place that imports Jupyter's libraries: late, because that takes a second."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["Jupyter", "load_jupyter"]

_NEEDED = "running a notebook needs nbclient, nbformat and ipykernel: pip install 'dagflow[notebook]'"


@attrs.frozen
class Jupyter:
    """The modules; their types are known to no type checker."""

    nbformat: Any
    validator: Any
    nbclient: Any
    session: Any
    kernelspec: Any
    zmq: Any


def load_jupyter() -> Jupyter:
    """Import the libraries; blocks while it does. Raises `ImportError` that names the extra to install."""
    try:
        import nbclient.client
        import nbformat
        import nbformat.validator
        import zmq
        from jupyter_client import kernelspec, session
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"nbclient", "nbformat", "jupyter_client", "zmq", "traitlets"}:
            raise
        raise ImportError(_NEEDED, name=error.name) from error
    return Jupyter(nbformat, nbformat.validator, nbclient.client, session, kernelspec, zmq)
