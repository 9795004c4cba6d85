"""What comes with dagflow is registered by entry points, as what others bring is."""

from __future__ import annotations

import pytest

from dagflow import plugins

OWN = {
    "tasks": ("async-python", "notebook", "python", "shell"),
    "executors": ("async-local", "dask", "local", "mocked"),
    "stores": ("memory", "redis", "sqlite"),
    "lms": ("anthropic", "claude-cli", "dspy", "openai", "pydantic-ai"),
    "secrets": ("chain", "dotenv", "environment", "mapping"),
    "catalogs": ("file-system",),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
def test_what_comes_with_dagflow_is_registered(kind: str) -> None:
    """Every adapter of ours has a name, and loads as what its kind must be; that of DSPy takes seconds to import."""
    ours = [name for name in plugins.names(kind) if plugins.find(kind, name).distribution.startswith("dagflow ")]
    assert OWN[kind] == tuple(ours)
    assert all(isinstance(plugins.load(kind, name), type) for name in ours)


def test_the_asynchronous_names_are_registered() -> None:
    """`async-python` and `async-local` are the task type and the executor of those names."""
    assert "AsyncPythonTaskType" == plugins.load("tasks", "async-python").__name__
    assert "AsyncLocalExecutor" == plugins.load("executors", "async-local").__name__
