"""The `state:` section: types, reducers and defaults, and which keys the nodes write besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dagflow.core.answers import InvalidAnswer
from dagflow.core.fitting import fit
from dagflow.declarative.compiling.faults import Faults, Place
from dagflow.declarative.locating import Locator
from dagflow.declarative.model import (
    GraphFile,
    InterruptNode,
    MapNode,
    NodeSpec,
    PassthroughNode,
    RaceNode,
    StateKey,
    SubgraphNode,
)
from dagflow.declarative.model.fields import ABSENT
from dagflow.declarative.state import REDUCERS, KeyType, StateSchema
from dagflow.declarative.type_names import parse_type

__all__ = ["compile_state", "keys_written"]


def compile_state(spec: GraphFile, locator: Locator, faults: Faults) -> StateSchema:
    """Compile the section; keys that are faulty are left out."""
    place = Place("$") / "state"
    keys: dict[str, KeyType] = {}
    reducers: dict[str, Callable[[Any, Any], Any]] = {}
    classes: list[Any] = []
    for name, given in spec.state.items():
        here = place / name
        _check_name(name, here, faults)
        key = StateKey(type=given) if isinstance(given, str) else given
        at = here if isinstance(given, str) else here / "type"
        hint = faults.attempt(at, lambda text=key.type: parse_type(text, find_class=locator.find))  # type: ignore[misc]
        if hint is None:
            continue
        keys[name] = KeyType(hint, _default(key, hint, here, faults), key.description or "")
        if key.reducer is not None:
            reducer = faults.attempt(here / "reducer", lambda text=key.reducer: _reducer(text, locator))  # type: ignore[misc]
            if reducer is not None:
                reducers[name] = reducer
    written = {key for node in spec.nodes.values() for key in keys_written(node) or ()}
    for node_name, node in spec.nodes.items():
        for key_name in keys_written(node) or ():
            _check_name(key_name, Place("$") / "nodes" / node_name, faults)
    return StateSchema(keys, reducers, frozenset(written), tuple(classes))


def keys_written(node: NodeSpec) -> tuple[str, ...] | None:
    """The state keys that a node may write; `None` where only its function knows."""
    return None if node.type == "python" and node.state_key is None else tuple(dict.fromkeys(_keys_of(node)))


def _keys_of(node: NodeSpec) -> Iterator[str]:
    if isinstance(node, MapNode):
        found: list[str | None] = [node.collect]
    elif isinstance(node, InterruptNode):
        found = [node.resume_key]
    elif isinstance(node, PassthroughNode):
        found = [*node.output]
    else:
        found = [node.state_key]
    if isinstance(node, SubgraphNode):
        found += node.output
    if isinstance(node, RaceNode):
        found.append(node.winner_key)
    yield from (key for key in found if key is not None)


def _reducer(text: str, locator: Locator) -> Callable[[Any, Any], Any]:
    if text in REDUCERS:
        return REDUCERS[text]
    if ":" not in text:
        from dagflow.core.structure import nearest

        near = nearest(text, REDUCERS)
        raise ValueError(f"there is no reducer {text!r}{near}; write {', '.join(REDUCERS)} or module:name")
    found = locator.find(text)
    if not callable(found):
        raise ValueError(f"{text} is a {type(found).__name__}, and no function of the old value and the new one")  # noqa: TRY004
    reducer: Callable[[Any, Any], Any] = found
    return reducer


def _default(key: StateKey, hint: Any, place: Place, faults: Faults) -> Any:
    if key.default is ABSENT:
        return ABSENT
    try:
        return fit(key.default, hint)
    except InvalidAnswer as error:
        faults.add_all(place / "default", error.invalid)
        return ABSENT


def _check_name(name: str, place: Place, faults: Faults) -> None:
    if not name.isidentifier() or name == "state" or name in RESERVED:
        faults.add(
            place, f"{name!r} cannot be a state key: use letters, digits and underscores, and no word of expressions"
        )


RESERVED: Mapping[str, None] = dict.fromkeys(
    ("and", "or", "not", "in", "if", "else", "true", "false", "null", "True", "False", "None")
)
