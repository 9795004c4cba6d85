"""What rules look at: a graph file, and all that could be found of what it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from dagflow.core.functions import Function
from dagflow.declarative.compiling.faults import Place
from dagflow.declarative.compiling.state import keys_written
from dagflow.declarative.edges import START_NAME
from dagflow.declarative.graph import YamlGraph
from dagflow.declarative.lint.reading import Reading, readings
from dagflow.declarative.lint.walk import PlacedNode, placed_nodes
from dagflow.declarative.lint.ways import Ways
from dagflow.declarative.model import GraphFile
from dagflow.declarative.model.fields import ABSENT
from dagflow.declarative.prompts.files import LoadedPrompt
from dagflow.declarative.state import StateSchema
from dagflow.source import Document

__all__ = ["LintSubject"]


@attrs.frozen(eq=False, slots=False, kw_only=True)
class LintSubject:
    """A graph file that is well formed. `graph` is there where it compiles too.

    `prompts` and `functions` are those that were found, by the place of the node that names them; `tools` are the
    functions of agents, by the place of their names. `root` is the folder that paths may not leave.
    """

    path: Path
    document: Document
    spec: GraphFile
    schema: StateSchema
    root: Path
    environment: Mapping[str, str]
    graph: YamlGraph | None = None
    prompts: Mapping[Place, LoadedPrompt] = attrs.field(factory=dict)
    functions: Mapping[Place, Function] = attrs.field(factory=dict)
    tools: Mapping[Place, Any] = attrs.field(factory=dict)

    def compiled(self, graph: YamlGraph) -> LintSubject:
        """The same of a file that compiles."""
        return attrs.evolve(self, graph=graph)

    @cached_property
    def nodes(self) -> tuple[PlacedNode, ...]:
        """Every node, those inside of others too."""
        return tuple(placed_nodes(self.spec))

    @cached_property
    def ways(self) -> Ways:
        """Where the nodes may lead."""
        return Ways(self.spec)

    @cached_property
    def reads(self) -> tuple[Reading, ...]:
        """What nodes and conditions read of the state."""
        return tuple(readings(self.spec, self.nodes, self.functions, self.graph))

    @cached_property
    def writers(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes that may write each key, as far as the file tells."""
        found: dict[str, list[str]] = {}
        for name, node in self.spec.nodes.items():
            for key in keys_written(node) or ():
                found.setdefault(key, []).append(name)
        return {key: tuple(names) for key, names in found.items()}

    @cached_property
    def writes_are_known(self) -> bool:
        """Whether the file tells what every node writes: a function may return a mapping of any keys."""
        return all(keys_written(node) is not None for node in self.spec.nodes.values())

    @cached_property
    def reads_are_known(self) -> bool:
        """Whether the file tells what every node reads: a function may take the whole state."""
        return all(reading.key is not None for reading in self.reads)

    @cached_property
    def keys_read(self) -> frozenset[str]:
        """The keys that anything reads, the web front too where the file sets it up."""
        found = {reading.key for reading in self.reads if reading.key is not None}
        return frozenset(found | ({self.spec.web.response_key} if self.has("web") else set()))

    def readers_of(self, key: str) -> Sequence[Reading]:
        """What reads a key."""
        return self._reads_by_key.get(key, ())

    @cached_property
    def _reads_by_key(self) -> Mapping[str | None, list[Reading]]:
        found: dict[str | None, list[Reading]] = {}
        for reading in self.reads:
            found.setdefault(reading.key, []).append(reading)
        return found

    def read_by(self, name: str) -> Set[str | None]:
        """The keys that a node reads itself, not its edges; `None` among them stands for any."""
        return self._keys_by_node.get(name, frozenset())

    @cached_property
    def _keys_by_node(self) -> Mapping[str, set[str | None]]:
        found: dict[str, set[str | None]] = {}
        for reading in self.reads:
            if not reading.after:
                found.setdefault(reading.node, set()).add(reading.key)
        return found

    def has(self, *path: str) -> bool:
        """Whether the file itself says something there, where there may be a default."""
        data = self.document.data
        for key in path:
            if not isinstance(data, dict) or key not in data:
                return False
            data = data[key]
        return True

    def has_default(self, key: str) -> bool:
        """Whether a state key begins with a value."""
        found = self.schema.keys.get(key)
        return found is not None and found.default is not ABSENT

    def may_end(self, name: str) -> bool:
        """Whether a run may end with a node."""
        return name in self.ways.ending

    def first_nodes(self) -> tuple[str, ...]:
        """The nodes that a run may begin with."""
        return self.ways.successors[START_NAME]
