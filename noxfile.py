"""Everything there is to do with dagflow: `nox -l` lists it.

`nox -s demo` shows the main job, `nox -s tests` passes the tests; both need nothing but nox.
"""

from __future__ import annotations

import os
import subprocess
import sys

import nox

SUPPORTED = ("3.11", "3.12", "3.13")
TESTING = [
    ".[trio,cli,testing,prices,pydantic-ai,dspy,redis,yaml,jinja,web,notebook,otel,dask]",
    "opentelemetry-sdk>=1.27",
    "pip",
    "pytest-xdist>=3.6",
    "jsonschema>=4.23",
    "openai>=3.0",
    "anthropic>=2.0",
    "httpx2>=2.0",
    "trustme>=1.2",
    "matplotlib>=3.9",
]
RIVALS = [
    "sf-hamilton>=1.88",
    "langgraph>=1.0",
    "langgraph-checkpoint-sqlite>=3.0",
    "pydantic-graph>=1.0",
    "openai>=3.0",
    "anthropic>=2.0",
    "pydantic-ai-slim[openai,anthropic]>=2.60",
    "prefect>=3.9",
]

nox.needs_version = ">=2024.3.2"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "uv|virtualenv"


def runs(version: str) -> bool:
    """Whether this machine has a Python of that version that starts; a pyenv shim may be there and not start."""
    try:
        return subprocess.run([f"python{version}", "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


PYTHONS = [version for version in SUPPORTED if runs(version)] or [f"{sys.version_info[0]}.{sys.version_info[1]}"]


@nox.session
def demo(session: nox.Session) -> None:
    """Run the outfit example, offline; arguments go to the example (`-- --backend trio`)."""
    session.install(".[trio]")
    session.run("python", "examples/ootd.py", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every supported Python that is here, each test on asyncio and on trio.

    The newest Python runs all of them, the others leave those out that are marked as slow.
    """
    session.install(*TESTING)
    slow = [] if session.python in (None, PYTHONS[-1]) else ["-m", "not slow"]
    session.run("pytest", "-n", "auto", *slow, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("ruff>=0.15")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, and that every public name has a complete type."""
    session.install("-e", TESTING[0], *TESTING[1:], "nox")
    session.install("mypy>=1.18", "pyright>=1.1.400", "types-jsonschema", "types-psutil", "types-PyYAML")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "dagflow", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; warnings are errors."""
    session.install(".[trio,cli,yaml]", "mkdocs-material>=9.5", "mkdocstrings[python]>=0.27")
    session.run("mkdocs", "build", "--strict")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure side by side with rivals and write benchmarks/RESULTS.md; `-- --short` for a quick look."""
    session.install(".[trio,redis,yaml,web,cli,dask,testing]", *RIVALS)
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Break each promise with a one-line change, and check that the tests notice."""
    session.install("-e", TESTING[0], *TESTING[1:])
    session.run("python", "tests/mutants/run.py", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Cancel and break runs at every point, far more often than the tests do."""
    session.install(*TESTING)
    session.run(
        "pytest",
        "-n",
        "auto",
        "-m",
        "chaos",
        *session.posargs,
        env=campaign(),
    )


@nox.session
def fuzz(session: nox.Session) -> None:
    """Compare the schedule with its reference, and feed the parsers garbage, far more often than the tests do."""
    session.install(*TESTING)
    session.run("pytest", "-n", "auto", "-m", "fuzz", *session.posargs, env=campaign())


def campaign() -> dict[str, str]:
    """How many times as much as the tests a campaign does: `DAGFLOW_CAMPAIGN`, or 20."""
    return {"DAGFLOW_CAMPAIGN": os.environ.get("DAGFLOW_CAMPAIGN", "20")}
