"""Compiling each kind of node to its body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs

from dagflow.core.functions import Function
from dagflow.core.hints import show
from dagflow.core.inputs import inputs
from dagflow.core.plan import Plan, PlanNode
from dagflow.core.schema import json_schema
from dagflow.core.shapes import UnsupportedType, object_fields
from dagflow.core.structure import nearest
from dagflow.core.tools import Tool, to_tools
from dagflow.declarative.bodies.asking import Asking, Routed
from dagflow.declarative.bodies.calling import STATE, CallFunction, CallTool
from dagflow.declarative.bodies.nesting import MapItems, Output, Race, RunTypedGraph, RunYamlGraph
from dagflow.declarative.bodies.simple import Ask, Compute, RunProgram
from dagflow.declarative.compiling.compiler import Compiler, Work
from dagflow.declarative.compiling.edges import route_names
from dagflow.declarative.compiling.faults import Place
from dagflow.declarative.edges import Routing
from dagflow.declarative.expressions import parse_value
from dagflow.declarative.graph import YamlGraph
from dagflow.declarative.inner import Inner
from dagflow.declarative.language_models import ModelNeed, need_of
from dagflow.declarative.model import (
    AgentNode,
    FallbackValue,
    FieldSpec,
    InterruptNode,
    LLMNode,
    MapNode,
    NodeSpec,
    OnError,
    PassthroughNode,
    PythonNode,
    RaceNode,
    RouterNode,
    SchemaSpec,
    ShellNode,
    SubgraphNode,
    ToolNode,
)
from dagflow.declarative.project import confined
from dagflow.declarative.prompts.files import LoadedPrompt, load_prompt, prompt_of
from dagflow.declarative.prompts.schemas import make_class
from dagflow.declarative.shell import ShellCommand
from dagflow.errors import GraphError
from dagflow.graph.graph import Graph
from dagflow.kernel.engine import Program

__all__ = ["compile_work"]


def compile_work(compiler: Compiler, name: str, spec: NodeSpec, place: Place, timeout: float | None) -> Work | None:
    """Compile what a node does; `None` where it is faulty, which the compiler was told."""
    if isinstance(spec, PythonNode):
        return _python(compiler, spec, place, timeout)
    if isinstance(spec, ToolNode):
        return _tool(compiler, spec, place, timeout)
    compile_kind: Callable[..., Work | None] = _KINDS[type(spec)]
    return compile_kind(compiler, name, spec, place)


# --- Language models


def _asking(
    compiler: Compiler, name: str, spec: LLMNode | RouterNode | AgentNode, place: Place, tools: tuple[Tool, ...] = ()
) -> Asking | None:
    prompt = _prompt(compiler, name, spec, place)
    variables = compiler.values(spec.variables, place / "variables")
    if prompt is None:
        return None
    for missing in sorted(prompt.names - spec.variables.keys()):
        if missing in compiler.names or missing in compiler.schema.known or not compiler.schema.closed:
            variables[missing] = parse_value(f"{{{missing}}}")
            continue
        near = nearest(missing, [*spec.variables, *compiler.names, *compiler.schema.known])
        compiler.faults.add(
            place / "variables",
            f"the prompt {prompt.name} has a variable {missing!r}, which is not given and no state key{near}",
        )
    need = compiler.faults.attempt(place, lambda: need_of(spec, prompt.spec, compiler.defaults))
    if need is None:
        return None
    return Asking(
        prompt,
        str if prompt.answer is None else prompt.answer,
        variables,
        need,
        spec.state_key,
        tools,
        getattr(spec, "max_turns", 10),
    )


def _prompt(compiler: Compiler, name: str, spec: LLMNode | RouterNode | AgentNode, place: Place) -> LoadedPrompt | None:
    given, find = spec.prompt, compiler.locator.find
    if isinstance(given, str):
        return compiler.faults.attempt(
            place / "prompt", lambda: load_prompt(given, base=compiler.base, root=compiler.root, find_class=find)
        )
    return compiler.faults.attempt(place / "prompt", lambda: prompt_of(given, name=name, find_class=find))


def _llm(compiler: Compiler, name: str, spec: LLMNode, place: Place) -> Work | None:
    asking = _asking(compiler, name, spec, place)
    return None if asking is None else Work(asking, (asking.need,))


def _agent(compiler: Compiler, name: str, spec: AgentNode, place: Place) -> Work | None:
    functions = [
        compiler.faults.attempt(place / "tools" / index, lambda text=text: compiler.locator.find(text))  # type: ignore[misc]
        for index, text in enumerate(spec.tools)
    ]
    tools = None
    if all(function is not None for function in functions):
        tools = compiler.faults.attempt(place / "tools", lambda: to_tools(cast("list[Any]", functions)))
    asking = _asking(compiler, name, spec, place, tools or ())
    return None if asking is None or tools is None else Work(asking, (asking.need,))


def _router(compiler: Compiler, name: str, spec: RouterNode, place: Place) -> Work | None:
    asking = _asking(compiler, name, spec, place)
    if asking is None:
        return None
    answer = asking.answer
    if answer is str:
        answer = compiler.faults.attempt(place / "route_field", lambda: _choice_of(spec, compiler))
    if answer is None:
        return None
    fields = {field.key: field.name for field in object_fields(answer)}
    if spec.route_field not in fields:
        near = nearest(spec.route_field, fields)
        compiler.faults.add(place / "route_field", f"the prompt's schema has no field {spec.route_field!r}{near}")
        return None
    _check_without_answer(compiler, spec, place)
    routes = {route: route_names(target) for route, target in spec.routes.items()}
    default = None if spec.default_route is None else route_names(spec.default_route)
    asking = Asking(asking.prompt, answer, asking.variables, asking.need, asking.state_key)
    return Work(Routed(asking, fields[spec.route_field], routes, default), (asking.need,))


def _check_without_answer(compiler: Compiler, spec: RouterNode, place: Place) -> None:
    """A router that is skipped, or falls back, still has to lead somewhere."""
    handling = spec.on_error if spec.on_error is not None else compiler.defaults.on_error
    skips = handling == "skip" or (isinstance(handling, OnError) and handling.then == "skip")
    if skips and spec.default_route is None and spec.on_error is not None:
        compiler.faults.add(place / "on_error", "a router that is skipped leads nowhere; give it a default_route")
    fallback = handling.fallback if isinstance(handling, OnError) else None
    if isinstance(fallback, FallbackValue) and spec.default_route is None and fallback.value not in list(spec.routes):
        known = ", ".join(map(repr, spec.routes))
        problem = f"is no route of the router ({known}); name one, or give it a default_route"
        compiler.faults.add(place / "on_error" if spec.on_error is not None else place, f"{fallback.value!r} {problem}")


def _choice_of(spec: RouterNode, compiler: Compiler) -> type[Any]:
    """The schema of a router whose prompt has none: the route field, with the routes as its values."""
    field = FieldSpec(enum=list(spec.routes), description="where to go on")
    schema = SchemaSpec(name="Route", fields={spec.route_field: field})
    return make_class(schema, find_class=compiler.locator.find)


# --- Functions


def _python(compiler: Compiler, spec: PythonNode, place: Place, timeout: float | None) -> Work | None:
    function = _function(compiler, spec.function, place / "function", place, spec)
    arguments = compiler.values(spec.arguments, place / "arguments")
    if function is None:
        return None
    parameters = {parameter.name: parameter for parameter in function.parameters}
    if not function.open:
        for name in spec.arguments:
            if name not in parameters:
                near = nearest(name, parameters) or f"; it takes {', '.join(parameters) or 'nothing'}"
                compiler.faults.add(place / "arguments" / name, f"{function.name} takes no {name!r}{near}")
    from_state = [parameter for name, parameter in parameters.items() if name not in spec.arguments and name != STATE]
    if compiler.schema.closed:
        known = {*compiler.schema.known, *compiler.names}
        for parameter in from_state:
            if parameter.required and parameter.name not in known:
                near = nearest(parameter.name, known)
                compiler.faults.add(
                    place,
                    f"{function.name} takes {parameter.name!r}, which is no state key{near}; give it in `arguments`",
                )
    body = CallFunction(
        function,
        arguments,
        tuple((parameter.name, parameter.required) for parameter in from_state),
        STATE in parameters and STATE not in spec.arguments,
        spec.state_key,
    )
    return Work(body, stoppable=_is_stoppable(function))


def _function(compiler: Compiler, text: str, at: Place, place: Place, spec: PythonNode | ToolNode) -> Function | None:
    found = compiler.faults.attempt(at, lambda: compiler.locator.find(text))
    if found is None:
        return None
    offload = spec.offload if isinstance(spec, PythonNode) else None
    if offload == "process" and text.rpartition(":")[0].endswith(".py"):
        compiler.faults.add(place / "offload", f"a process of its own cannot import {text}; name it as module:name")
        return None
    # Only a timeout that the node itself has is held against a thread: a default is for those that can be stopped.
    return compiler.faults.attempt(at, lambda: Function.of(found, offload=offload, timeout=spec.timeout))


def _is_stoppable(function: Function) -> bool:
    return function.kind == "async" or function.offload == "process"


def _tool(compiler: Compiler, spec: ToolNode, place: Place, timeout: float | None) -> Work | None:
    function = _function(compiler, spec.tool, place / "tool", place, spec)
    arguments = compiler.value(spec.arguments, place / "arguments")
    if function is None or arguments is None:
        return None
    tool = compiler.faults.attempt(place / "tool", lambda: Tool.of(function.fn))
    if tool is None:
        return None
    names = [parameter.name for parameter in function.parameters]
    for name in spec.arguments:
        if name not in names:
            compiler.faults.add(place / "arguments" / name, f"{tool.name} takes no {name!r}{nearest(name, names)}")
    for parameter in function.parameters:
        if parameter.required and parameter.name not in spec.arguments:
            compiler.faults.add(place / "arguments", f"{tool.name} needs {parameter.name!r}")
    return Work(CallTool(tool, function, arguments, spec.state_key), stoppable=_is_stoppable(function))


# --- Programs, questions, values


def _shell(compiler: Compiler, name: str, spec: ShellNode, place: Place) -> Work | None:
    cwd = compiler.base
    if spec.cwd is not None:
        text = spec.cwd
        found = compiler.faults.attempt(
            place / "cwd", lambda: confined(text, base=compiler.base, root=compiler.root, what="folder", kind="folder")
        )
        cwd = found or cwd
    command = compiler.faults.attempt(place, lambda: ShellCommand.of(spec))
    if command is None:
        return None
    compiler.check_paths((template.paths for template in command.templates), place)
    return Work(RunProgram(command, cwd, spec.state_key))


def _interrupt(compiler: Compiler, name: str, spec: InterruptNode, place: Place) -> Work | None:
    message = compiler.template(spec.message, place / "message")
    if message is None:
        return None
    hint = compiler.schema.hint(spec.resume_key)
    try:
        schema = json_schema(hint)
    except UnsupportedType as error:
        compiler.faults.add(place / "resume_key", f"nobody can answer with a {show(hint)}: {error}")
        return None
    return Work(Ask(message, spec.resume_key, show(hint), schema), asks_person=True)


def _passthrough(compiler: Compiler, name: str, spec: PassthroughNode, place: Place) -> Work | None:
    return Work(Compute(compiler.values(spec.output, place / "output")))


# --- Nodes that hold others


def _inner(compiler: Compiler, name: str, spec: NodeSpec, place: Place) -> tuple[Inner, Work] | None:
    if isinstance(spec, RouterNode):
        compiler.faults.add(place, "a router leads to other nodes of the graph, and there are none in here; use llm")
        return None
    compiler = attrs.evolve(compiler, schema=attrs.evolve(compiler.schema, is_inner=True))
    compiled = compiler.node(name, spec, place, Routing(name, (), ()))
    if compiled is None:
        return None
    node, work = compiled
    if node.handling.target is not None:
        compiler.faults.add(place / "on_error", "a node inside another cannot lead to a node; give it a value")
        return None
    keys = node.writes if node.writes is not None else ()
    signature = "; ".join([node.kind, *compiler.schema.signature(keys)])
    plan = Plan.build([PlanNode(name, signature=signature)], [name], name=name)
    return Inner(node, Program(name, plan, {name: node.to_body()}), compiler.schema), work


def _map(compiler: Compiler, name: str, spec: MapNode, place: Place) -> Work | None:
    over = compiler.template(spec.over, place / "over")
    if over is not None and not over.is_single:
        compiler.faults.add(
            place / "over", f"must be one expression that gives a list, such as {{state.items}}, not {spec.over!r}"
        )
        return None
    names = [spec.as_, *([spec.index] if spec.index is not None else [])]
    for key, value in (("as", spec.as_), ("index", spec.index)):
        if value is not None and (not value.isidentifier() or value == STATE):
            compiler.faults.add(place / key, f"{value!r} is no name; use letters, digits and underscores")
    if len(set(names)) < len(names):
        compiler.faults.add(place / "index", f"{spec.as_!r} is the name of the item already; give the index another")
    found = _inner(compiler.with_names(names), _inner_name(spec.node, name), spec.node, place / "node")
    if over is None or found is None:
        return None
    inner, work = found
    limit = spec.max_concurrency or 1_000_000
    body = MapItems(over, spec.as_, spec.index, inner, spec.collect, limit)
    return Work(body, inner.node.needs, work.asks_person)


def _inner_name(spec: NodeSpec, outer: str) -> str:
    """What the inner node of a map is called in events: what it writes to, if that says anything."""
    key = getattr(spec, "state_key", None)
    return key if isinstance(key, str) and key != outer else f"{outer}_item"


def _race(compiler: Compiler, name: str, spec: RaceNode, place: Place) -> Work | None:
    inners: dict[str, Inner] = {}
    needs: list[ModelNeed] = []
    for racer, inner_spec in spec.nodes.items():
        found = _inner(compiler, racer, inner_spec, place / "nodes" / racer)
        if found is None:
            continue
        inner, work = found
        if work.asks_person:
            compiler.faults.add(
                place / "nodes" / racer,
                "asks a person, who cannot be raced against: the question would stay open; ask before the race",
            )
        inners[racer] = inner
        needs += inner.node.needs
    if len(inners) < len(spec.nodes):
        return None
    return Work(Race(inners, spec.state_key, spec.winner_key), tuple(dict.fromkeys(needs)))


def _subgraph(compiler: Compiler, name: str, spec: SubgraphNode, place: Place) -> Work | None:
    graph = compiler.load_graph(spec.graph, place / "graph")
    given = None if spec.input is None else compiler.values(spec.input, place / "input")
    if not spec.output and spec.state_key is None:
        compiler.faults.add(place, "nothing of the subgraph is kept; say what with `output`, or give it a state_key")
    output = Output(spec.output, spec.state_key)
    if isinstance(graph, YamlGraph):
        _check_mapping(compiler, graph.name, graph.schema.known if graph.schema.closed else None, spec, place)
        return Work(RunYamlGraph(graph, given, output), graph.needs, graph.asks_person)
    if isinstance(graph, Graph):
        fields = {item.name: item.type for item in inputs(graph.start) if item.kind == "plain"}
        _check_input(compiler, graph.name, fields, spec, place)
        ends = [item.name for node in graph.terminal_nodes for item in inputs(node)]
        for key, inner in spec.output.items():
            if inner not in ends:
                near = nearest(inner, ends)
                compiler.faults.add(place / "output" / key, f"graph {graph.name} ends without a field {inner!r}{near}")
        needs = (ModelNeed(),) if _needs_model(graph) else ()
        return Work(RunTypedGraph(graph, fields, given, output), needs, asks_person=gates(graph))
    if graph is not None:
        kind = type(graph).__name__
        compiler.faults.add(place / "graph", f"{spec.graph} is a {kind}, and no graph; name a Graph or a YAML file")
    return None


def _needs_model(graph: Graph) -> bool:
    """Whether a typed graph needs the run's language model."""
    try:
        graph.validate(lm=False)
    except GraphError:
        return True
    return False


def gates(graph: Graph) -> bool:
    """Whether a typed graph asks a person."""
    return any(item.kind == "gate" for node in graph.nodes for item in inputs(node))


def _check_mapping(
    compiler: Compiler, graph: str, keys: tuple[str, ...] | None, spec: SubgraphNode, place: Place
) -> None:
    if keys is None:
        return
    _check_input(compiler, graph, dict.fromkeys(keys), spec, place)
    for key, inner in spec.output.items():
        if inner not in keys:
            compiler.faults.add(
                place / "output" / key, f"graph {graph} has no state key {inner!r}{nearest(inner, keys)}"
            )


def _check_input(compiler: Compiler, graph: str, keys: Mapping[str, Any], spec: SubgraphNode, place: Place) -> None:
    for key in spec.input or ():
        if key not in keys:
            compiler.faults.add(place / "input" / key, f"graph {graph} takes no {key!r}{nearest(key, keys)}")


_KINDS: dict[type, Callable[..., Work | None]] = {
    LLMNode: _llm,
    RouterNode: _router,
    AgentNode: _agent,
    ShellNode: _shell,
    InterruptNode: _interrupt,
    PassthroughNode: _passthrough,
    MapNode: _map,
    RaceNode: _race,
    SubgraphNode: _subgraph,
}
