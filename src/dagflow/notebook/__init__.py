"""Running Jupyter notebooks: parameters in, values out, and no process left, whatever happens."""

from dagflow.notebook.driver import JupyterDriver
from dagflow.notebook.problems import NotebookError, NotebookTimeout

__all__ = ["JupyterDriver", "NotebookError", "NotebookTimeout"]
