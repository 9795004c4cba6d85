"""A third-party package with a plug-in of each kind; tests build a wheel of it and install that."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import anyio
import attrs

from dagflow.catalog import CatalogFile
from dagflow.core.secrets import Secret
from dagflow.core.storage import Session
from dagflow.lm.base import BaseLM
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.pipeline.executors import TaskWork
from dagflow.pipeline.ports import TaskPlace
from dagflow.pipeline.steps import CompileContext, Read
from dagflow.pipeline.task_types import TaskCall, TaskType
from dagflow.pipeline.tasks import Task
from dagflow.store.memory import MemoryStore

DEFAULT_KEY = Secret("acme")


@attrs.frozen(eq=False)
class ShoutTaskType:
    """Writes a parameter in capitals."""

    task_type: ClassVar[str] = "shout"

    word: str

    reads_all: ClassVar[bool] = False
    types: ClassVar[tuple[Any, ...]] = (str,)
    returns: ClassVar[Any] = str
    function: ClassVar[None] = None

    @property
    def reads(self) -> tuple[Read, ...]:
        return (Read(self.word, str),)

    @property
    def signature(self) -> tuple[str, ...]:
        return (f"shouts {self.word}",)

    async def arguments(self, call: TaskCall) -> Mapping[str, Any]:
        return {self.word: call.step.scope[self.word]}

    async def run(self, call: TaskCall, arguments: Mapping[str, Any]) -> Any:
        return arguments[self.word].upper()


@attrs.frozen
class ShoutTask(Task):
    """A step of the task type."""

    word: str

    def task_type(self, context: CompileContext) -> TaskType:
        return ShoutTaskType(self.word)


class CountingExecutor:
    """Does the work here, and counts it, also in a file."""

    service_name: ClassVar[str] = "counting"

    def __init__(self, *, log: Path | None = None) -> None:
        self.tasks: list[str] = []
        self.log = None if log is None else anyio.Path(log)

    def refusal(self, function: Callable[..., Any]) -> str | None:
        return None

    async def execute(self, work: TaskWork) -> Any:
        self.tasks.append(work.task)
        if self.log is not None:
            await self.log.write_text("\n".join(self.tasks))
        return await work.here()


class ShelfStore:
    """Keeps journals in memory, and counts how often it was opened."""

    def __init__(self) -> None:
        self.opened = 0
        self._inner = MemoryStore()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Session]:
        self.opened += 1
        async with self._inner.open() as session:
            yield session


class ParrotLM(BaseLM):
    """Answers every request with one word in each field."""

    def __init__(self, word: str = "polly") -> None:
        super().__init__()
        self.word = word

    async def complete(self, request: LMRequest) -> LMResponse:
        fields = (request.schema or {}).get("properties", {})
        return LMResponse(text=json.dumps(dict.fromkeys(fields, self.word)))


class VaultSecrets:
    """Has one secret."""

    place = "the acme vault"

    def __init__(self, key: Secret = DEFAULT_KEY) -> None:
        self.key = key

    async def find(self, name: str) -> Secret | None:
        return Secret(f"{self.key.reveal()}-s3cret") if name == "TOKEN" else None

    async def names(self) -> Collection[str]:
        return ["TOKEN"]


class LoggingCatalog:
    """Keeps no files, but the globs that it was asked for."""

    def __init__(self) -> None:
        self.put_globs: list[str] = []

    async def get(self, patterns: Sequence[str], folder: Path, place: TaskPlace) -> Sequence[CatalogFile]:
        return []

    async def put(self, patterns: Sequence[str], folder: Path, place: TaskPlace) -> Sequence[CatalogFile]:
        self.put_globs += patterns
        return [self._file(pattern, place) for pattern in patterns]

    async def put_bytes(self, path: str, data: bytes, place: TaskPlace) -> CatalogFile:
        return self._file(path, place)

    def _file(self, path: str, place: TaskPlace) -> CatalogFile:
        return CatalogFile(path=path, sha256="0" * 64, size=0, task="/".join(place.path))
