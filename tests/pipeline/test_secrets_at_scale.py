"""1,000 tasks that print, log, return and raise a known secret: it is in no log, event, trace or catalog file."""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dagflow import Catalog, Map, Parallel, Pipeline, PythonTask, Retry, ShellTask, Thread, read_run_log
from dagflow.capture import Capture
from dagflow.catalog import FileCatalog
from dagflow.cli.values import event_json
from dagflow.errors import DagflowError
from dagflow.events import Event, NodeRaised, Printed, Yielded
from dagflow.pipeline.steps import Step
from dagflow.secret_stores import MappingSecrets
from dagflow.store.sqlite import SQLiteStore
from dagflow.telemetry import traced
from pipeline import telling

SECRET = "kä\"n'ary\\7 of%20&+ all/keys=\nand the second line of it"

KINDS = {"thread": 400, "async": 300, "items": 200, "shell": 60, "process": 40}
"""How many tasks there are of each kind: a thousand."""


def forms(secret: str) -> set[bytes]:
    """What the secret looks like where it is written: as it is, line by line, escaped."""
    found: set[str] = set()
    for text in (secret, *secret.splitlines()):
        found |= {text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
        found |= {quote(text), quote(text, safe=""), quote_plus(text)}
    return {form.encode() for form in found}


def held(places: Iterable[tuple[str, bytes]]) -> Counter[str]:
    """Count the places that hold the secret, by what they are."""
    found = forms(SECRET)
    return Counter(place for place, data in places if any(form in data for form in found))


def steps(folder: Path, work: Path) -> list[Step]:
    """A map of each kind of task, all at once, and at last a task that lets the run fail."""
    common: dict[str, Any] = {"returns": ["told"], "retry": Retry(attempts=2, delay=0)}
    given: dict[str, Any] = {**common, "secrets": {"secret": "KEY"}}
    shell = ShellTask(
        telling.SCRIPT,
        name="shell",
        shell=True,
        cwd=work,
        takes=["folder", "item"],
        secrets=["KEY"],
        catalog=Catalog(put=["public-*.txt"]),
        **common,
    )
    tasks = {
        "thread": PythonTask(telling.tell_all, name="thread", **given),
        "async": PythonTask(telling.tell_async, name="async", **given),
        "items": PythonTask(telling.tell_in_items, name="items", **given),
        "shell": shell,
        "process": PythonTask(telling.tell_in_process, name="process", offload="process", **given),
    }
    limits = {"shell": 4, "process": 4}
    maps = {
        kind: Pipeline([Map(f"items_{kind}", task, name=kind, max_concurrency=limits.get(kind, 16))], returns=[])
        for kind, task in tasks.items()
    }
    last = PythonTask(telling.tell_at_last, name="last", secrets={"secret": "KEY"})
    return [Parallel(maps, name="all"), last]


def texts_of(error: BaseException) -> list[str]:
    """All that an error tells: itself, its failures, and the tracebacks of them."""
    failures = error.failures if isinstance(error, DagflowError) else ()
    parts = [error, *(failure.exception for failure in failures)]
    told = [text for part in parts for text in (str(part), repr(part), "".join(traceback.format_exception(part)))]
    return [*told, *(repr(vars(part)) for part in parts)]


@pytest.mark.slow
async def test_the_secret_of_a_thousand_tasks_is_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each of them prints it, logs it, raises it with causes and notes, and returns it; some yield it."""
    marks, work, kept = tmp_path / "marks", tmp_path / "work", tmp_path / "kept"
    for folder in (marks, work):
        folder.mkdir()
    catalog = FileCatalog(kept / "catalog")
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    events: list[Event] = []
    store = SQLiteStore(kept / "runs.db")
    pipeline = Pipeline(steps(marks, work), name="tells")
    parameters = {f"items_{kind}": list(range(count)) for kind, count in KINDS.items()}
    stream = pipeline.stream(
        parameters={**parameters, "folder": str(marks)},
        secrets=MappingSecrets({"KEY": SECRET}),
        store=store,
        run_id="r",
        run_folder=kept / "run",
        catalog=catalog,
        capture=Capture(lambda run_id: catalog.run_folder(run_id) / "output", prints=True),
    )
    with pytest.raises(DagflowError) as caught:
        async with traced(stream, tracer=provider.get_tracer("tests"), kind="pipeline") as followed:
            async for event in followed:
                events.append(event)

    recorded = await Thread("r", store).events()
    log = await read_run_log(store, "r")
    tasks = sum(KINDS.values())
    spans = exporter.get_finished_spans()
    files = [path for path in kept.rglob("*") if path.is_file()]
    assert [] == [
        f"{place} ({count})"
        for place, count in held(
            [
                *((f"event {type(it).__name__}", (repr(it) + json.dumps(event_json(it))).encode()) for it in events),
                *((f"record {type(it).__name__}", repr(it).encode()) for it in recorded),
                *((f"span {span.name}", span.to_json().encode()) for span in spans),
                *(("error", text.encode()) for text in texts_of(caught.value)),
                ("run log", (log.to_json() + repr(log)).encode()),
                *((str(path.relative_to(kept)), path.read_bytes()) for path in files),
                *(("descriptors", text.encode()) for text in capfd.readouterr()),
            ]
        ).items()
    ]

    # And it was there: every task has said, raised and kept something with a mask in its place.
    raised = [event for event in events if isinstance(event, NodeRaised)]
    assert tasks + 1 == len(raised)
    assert {True} == {"<secret>" in event.traceback for event in raised if "exit status" not in event.error}
    assert 2 * KINDS["items"] == sum(isinstance(event, Yielded) for event in events)
    assert 4 * tasks < sum(isinstance(event, Printed) and "<secret>" in event.text for event in events)
    outputs = list((catalog.run_folder("r") / "output").rglob("*.log"))
    assert 2 * tasks + 1 == len(outputs)
    assert all("<secret>" in path.read_text() for path in outputs)
    assert tasks < sum(span.name.startswith("task:") for span in spans)
    assert "<secret>" in str(caught.value)
