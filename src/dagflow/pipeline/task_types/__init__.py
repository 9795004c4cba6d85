"""The kinds of tasks: what each of them reads, and how its work is done."""

from dagflow.pipeline.task_types.functions import AsyncPythonTaskType, PythonTaskType
from dagflow.pipeline.task_types.programs import NotebookTaskType, ShellTaskType
from dagflow.pipeline.task_types.task_type import StubTaskType, TaskCall, TaskType

__all__ = [
    "AsyncPythonTaskType",
    "NotebookTaskType",
    "PythonTaskType",
    "ShellTaskType",
    "StubTaskType",
    "TaskCall",
    "TaskType",
]
