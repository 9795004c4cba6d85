"""A graph file: its nodes, its edges, its state, and where its runs are recorded."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from dagflow.declarative.model.fields import ABSENT, AT_LEAST_ONE, AT_LEAST_ONE_IF_GIVEN, POSITIVE, option, required
from dagflow.declarative.model.handling import OnError
from dagflow.declarative.model.nodes import NodeSpec
from dagflow.declarative.model.prompts import LMChoice

__all__ = [
    "Checkpointer",
    "Defaults",
    "EdgeSpec",
    "GraphFile",
    "MemoryCheckpointer",
    "RedisCheckpointer",
    "SQLiteCheckpointer",
    "StateKey",
    "WebSpec",
]


@attrs.frozen(kw_only=True, slots=False)
class MemoryCheckpointer:
    """Runs are recorded in this process, and are gone with it."""

    type: Literal["memory"] = required("The kind of store.")


@attrs.frozen(kw_only=True, slots=False)
class SQLiteCheckpointer:
    """Runs are recorded in a file."""

    type: Literal["sqlite"] = required("The kind of store.")
    path: str = required("The file, relative to the graph; `${NAME}` is an environment variable.")
    ttl: float | None = option(None, "Seconds after its last event that a thread is kept.", validator=POSITIVE)


@attrs.frozen(kw_only=True, slots=False)
class RedisCheckpointer:
    """Runs are recorded in Redis."""

    type: Literal["redis"] = required("The kind of store.")
    url: str = required("Where it is, as `redis://HOST:PORT/DB`; `${NAME}` is an environment variable.")
    ttl: float | None = option(None, "Seconds after its last event that a thread is kept.", validator=POSITIVE)
    prefix: str = option("dagflow:", "What the names of its keys begin with.")


Checkpointer = MemoryCheckpointer | SQLiteCheckpointer | RedisCheckpointer


@attrs.frozen(kw_only=True, slots=False)
class Defaults(LMChoice):
    """What holds for nodes that say nothing else."""

    timeout: float | None = option(None, "Seconds that one attempt of a node may take.", validator=POSITIVE)
    on_error: Literal["fail", "skip", "retry"] | OnError = option("fail", "What happens when a node fails.")


@attrs.frozen(kw_only=True, slots=False)
class StateKey:
    """A key of the state."""

    type: str = option(
        "any",
        "Its type: `str`, `int`, `float`, `bool`, `any`, `list[str]`, `dict[str, int]`, `str | null`, `module:Class`.",
    )
    reducer: str | None = option(
        None,
        "How writes of several nodes become one value: `add`, `merge`, `last_value`, or a function of the old value "
        "and the new one as `module:name`. Without one, branches that write the same key conflict.",
    )
    default: Any = option(description="Its value where a run is not given one.", factory=lambda: ABSENT)
    description: str | None = option(None, "What it holds.")


@attrs.frozen(kw_only=True, slots=False)
class EdgeSpec:
    """An edge. Of one source the conditions are tried in the order of the file, and the first that holds wins."""

    from_: str = required("The node that it leaves, or START.", key="from")
    to: str | list[str] = required("The node that it leads to, or END; a list leads to all of them.")
    condition: str | None = option(
        None, "An expression over the state. An edge without one, beside others that have one, is the default."
    )


@attrs.frozen(kw_only=True, slots=False)
class WebSpec:
    """How the graph speaks over HTTP."""

    message_key: str = option("message", "The state key that a message is written to.")
    response_key: str = option("response", "The state key that the response is read from.")


@attrs.frozen(kw_only=True, slots=False)
class GraphFile:
    """A graph."""

    version: Literal["1"] = option("1", "The version of the format.")
    name: str | None = option(None, "The graph's name. Default: that of its file.")
    description: str | None = option(None, "What the graph is for.")
    checkpointer: Checkpointer | None = option(None, "Where runs are recorded.")
    defaults: Defaults = option(None, "What holds for nodes that say nothing else.", factory=lambda: Defaults())
    state: dict[str, str | StateKey] = option(None, "The keys of the state: a type, or more about it.", factory=dict)
    nodes: dict[str, NodeSpec] = required("The nodes by name.", validator=attrs.validators.min_len(1))
    edges: list[EdgeSpec] = required("What may follow what.", validator=attrs.validators.min_len(1))
    loop_limits: dict[str, int] = option(None, "How often a node of a loop may run, in a whole run.", factory=dict)
    loop_exits: dict[str, str] = option(
        None, "Where to go on, by node, when it has run that often and would lead back into its loop.", factory=dict
    )
    max_steps: int | None = option(
        description="How many nodes a run may start, those before a resume included; null for no limit. Default: "
        "100, or ten for each node where that is more.",
        factory=lambda: ABSENT,
        validator=AT_LEAST_ONE_IF_GIVEN,
    )
    max_concurrency: int | None = option(
        None, "How many nodes, model calls and dependencies of a run may work at once.", validator=AT_LEAST_ONE
    )
    timeout: float | None = option(None, "Seconds that a run may take.", validator=POSITIVE)
    web: WebSpec = option(None, "How the graph speaks over HTTP.", factory=lambda: WebSpec())

    @property
    def step_limit(self) -> int | None:
        """How many nodes a run may start; `None` for no limit."""
        given: Any = self.max_steps
        return max(100, 10 * len(self.nodes)) if given is ABSENT else given
