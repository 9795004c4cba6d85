"""`dagflow serve`: a YAML graph behind HTTP, until a signal comes."""

from __future__ import annotations

import enum
import os
import sys
from typing import Annotated, Final

import typer

from dagflow.cli.options import (
    Backend,
    BackendOption,
    BaseURLOption,
    LMOption,
    StoreOption,
    TargetArgument,
    TracebackOption,
    check_backend,
)
from dagflow.cli.problems import UsageProblem, told
from dagflow.cli.run import needed_lm
from dagflow.cli.runnable import YamlTarget
from dagflow.cli.runs.stores import find_place
from dagflow.cli.targets import load_target
from dagflow.errors import LMError

__all__ = ["serve_command"]

TOKEN_VARIABLE: Final = "DAGFLOW_TOKEN"


class Server(enum.StrEnum):
    """The program that speaks HTTP."""

    UVICORN = "uvicorn"
    HYPERCORN = "hypercorn"


def serve_command(
    target: TargetArgument,
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    backend: BackendOption = Backend.ASYNCIO,
    server: Annotated[Server | None, typer.Option(help="Default: uvicorn on asyncio, hypercorn on trio.")] = None,
    store: StoreOption = None,
    lm: LMOption = None,
    base_url: BaseURLOption = None,
    max_runs: Annotated[int, typer.Option(min=1, metavar="N", help="How many runs may go on at once.")] = 100,
    max_body: Annotated[int, typer.Option(min=1, metavar="BYTES", help="The size of a request.")] = 1024 * 1024,
    traceback: TracebackOption = False,
) -> None:
    """Serve a YAML graph over HTTP: messages, resumes, threads, event streams, and /docs.

    Where the environment has DAGFLOW_TOKEN, requests need it as their bearer token. SIGTERM and Ctrl-C end the runs
    that go on, which are recorded and can be resumed, and then the server.
    """
    with told(with_traceback=traceback):
        check_backend(backend)
        graph = load_target(target)
        if not isinstance(graph, YamlTarget):
            raise UsageProblem(f"{target} is a typed graph; `dagflow serve` takes YAML graphs, and dagflow.web any")
        model = needed_lm(graph, lm, base_url)
        try:
            from dagflow.web.app import create_app
            from dagflow.web.serving import run_server
            from dagflow.web.slots import RunSlots
        except ImportError as error:
            raise UsageProblem(str(error)) from None
        slots = RunSlots(max_runs)
        try:
            app = create_app(
                graph.graph,
                store=find_place(store).store if store is not None else None,
                lm=model.lm if model else None,
                token=os.environ.get(TOKEN_VARIABLE) or None,
                max_body=max_body,
                slots=slots,
            )
            status = run_server(
                app,
                host=host,
                port=port,
                backend=backend.value,
                server=server.value if server is not None else None,
                on_stop=slots.close,
                on_start=lambda url: print(
                    f"graph {graph.name} at {url} (see {url}/docs)", file=sys.stderr, flush=True
                ),
            )
        except (ValueError, ImportError, LMError, RuntimeError) as error:
            raise UsageProblem(str(error)) from None
        except OSError as error:
            raise UsageProblem(f"cannot listen at {host}:{port}: {error.strerror or error}") from None
    raise typer.Exit(status)
