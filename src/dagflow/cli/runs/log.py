"""`dagflow runs log`: the run log of a pipeline's run."""

from __future__ import annotations

import sys

from dagflow.cli.display import writable
from dagflow.cli.options import StoreOption, ThreadArgument, TracebackOption
from dagflow.cli.problems import told
from dagflow.cli.runs.stores import existing_place, on_thread
from dagflow.kernel.thread import Thread
from dagflow.pipeline.run_log_fold import read_run_log

__all__ = ["log_command"]


def log_command(thread: ThreadArgument, store: StoreOption = None, traceback: TracebackOption = False) -> None:
    """Write the run log of a pipeline's run as JSON: steps, attempts, inputs, outputs, metrics and errors.

    It can be read while the run goes on.
    """
    with told(with_traceback=traceback):
        place = existing_place(store)

        async def read(known: Thread) -> str:
            return (await read_run_log(place.store, known.thread_id)).to_json()

        print(writable(on_thread(place, thread, read), sys.stdout), flush=True)
