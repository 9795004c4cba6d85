"""`CompiledGraph`: a typed graph whose prompts can be optimised, saved and loaded."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Unpack

from dagflow.core.node import Node
from dagflow.core.storage import Store
from dagflow.errors import GraphError
from dagflow.graph.graph import Graph
from dagflow.graph.options import OtherOptions, OtherRunOptions
from dagflow.graph.result import GraphResult
from dagflow.lm.base import BaseLM
from dagflow.lm.dspy.library import load_dspy
from dagflow.optimize.examples import examples_of, field_match
from dagflow.optimize.optimized_lm import OptimizedLM
from dagflow.optimize.optimizer import Metric, Optimizer, open_optimization
from dagflow.optimize.predictors import Predictor
from dagflow.optimize.report import NodeReport, OptimizationReport
from dagflow.optimize.tasks import LMTask, tasks_of

__all__ = ["CompiledGraph", "compile_graph"]

FEWEST_EXAMPLES: Final = 10
FORMAT: Final = "dagflow.compiled_graph"
VERSION: Final = 1


def compile_graph(graph: Graph, *, lm: Any = None) -> CompiledGraph:
    """Make DSPy signatures of what a language model is asked in a graph: to fill nodes, and to choose among them.

    `lm` is the language model for runs and optimisations that are given none: a `BaseLM`.

    Raises `ImportError` where DSPy is not installed, and `UnsupportedType` for a field that has no form in JSON.
    """
    return CompiledGraph(graph, lm=lm)


class CompiledGraph:
    """A graph with a DSPy signature for each thing that a language model is asked in it.

    It runs as the graph does; what has been optimised is asked with the optimised prompt. `tasks` holds what is
    asked by key (the name of the node that is filled, or that of the node which is left with `.choice` after it)
    and `predictors` what has been optimised. Nodes with a language model of their own (`NodeConfig(lm=...)`)
    are asked as ever.

    `optimized_calls` and `fallback_calls` count the requests of all its runs by key.
    """

    def __init__(self, graph: Graph, *, lm: Any = None, predictors: Iterable[Predictor] = ()) -> None:
        load_dspy("compile_graph")
        self.graph = graph
        self.tasks: Mapping[str, LMTask] = tasks_of(graph)
        self.predictors: dict[str, Predictor] = {predictor.task.key: predictor for predictor in predictors}
        self.optimized_calls: Counter[str] = Counter()
        self.fallback_calls: Counter[str] = Counter()
        self._lm = lm

    def __repr__(self) -> str:
        return f"CompiledGraph({self.graph.name}, {len(self.predictors)} of {len(self.tasks)} tasks optimised)"

    @property
    def signatures(self) -> dict[str, Any]:
        """The DSPy signatures by key, optimised where they have been."""
        return {key: (self.predictors.get(key) or task).form.signature for key, task in self.tasks.items()}

    def optimized_lm(self, lm: Any = None) -> OptimizedLM:
        """Give a language model that asks with the optimised prompts; for `graph.stream(lm=...)`, say."""
        return OptimizedLM(self._model(lm), self.predictors.values())

    async def run(self, start: Node, *, lm: Any = None, **options: Unpack[OtherRunOptions]) -> GraphResult:
        """Run the graph with the optimised prompts; arguments, result and errors are those of `Graph.run`."""
        return await self._with_optimized(lm, lambda optimized: self.graph.run(start, lm=optimized, **options))

    async def resume(
        self,
        thread_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        store: Store,
        accept_changes: bool = False,
        lm: Any = None,
        **options: Unpack[OtherOptions],
    ) -> GraphResult:
        """Resume a run with the optimised prompts; arguments, result and errors are those of `Graph.resume`."""
        return await self._with_optimized(
            lm,
            lambda optimized: self.graph.resume(
                thread_id, answers, store=store, accept_changes=accept_changes, lm=optimized, **options
            ),
        )

    async def _with_optimized(self, lm: Any, run: Callable[[OptimizedLM], Awaitable[GraphResult]]) -> GraphResult:
        optimized = self.optimized_lm(lm)
        try:
            return await run(optimized)
        finally:
            self.optimized_calls.update(optimized.optimized_calls)
            self.fallback_calls.update(optimized.fallback_calls)

    async def optimize(
        self,
        examples: Iterable[Any],
        *,
        lm: Any = None,
        metric: Metric | None = None,
        optimizer: Optimizer = None,
        options: Mapping[str, Any] | None = None,
    ) -> OptimizationReport:
        """Optimise the prompt of each task that has at least 10 examples, one after the other.

        `examples` are results of runs, traces, or `Example`s. `metric(example, prediction, trace=None)` scores an
        answer (default: `field_match`); its arguments are those of DSPy's metrics. `optimizer` is any DSPy
        optimiser, which is given the metric where it has none, or a function that makes one for a metric (default:
        `dspy.BootstrapFewShot`, which takes answers that score 1); `options` are further arguments of its
        `compile`. `lm` is a `BaseLM` or a DSPy language model.

        The optimiser runs in a worker thread, and its requests in this event loop. Tasks are replaced one by one,
        each when it is done. Raises what the optimiser and the language model raise. Cancelled, the request under
        way is cancelled; the optimiser ends with its next request.
        """
        by_key = examples_of(examples)
        unknown = sorted(set(by_key) - set(self.tasks))
        reports = [NodeReport(key, len(by_key[key]), reason="the graph asks no model for it") for key in unknown]
        async with open_optimization(self._lm_or_given(lm)) as optimization:
            for key, task in self.tasks.items():
                found = by_key.get(key, [])
                if len(found) < FEWEST_EXAMPLES:
                    reports.append(NodeReport(key, len(found), reason=f"fewer than {FEWEST_EXAMPLES} examples"))
                    continue
                predictor = await optimization.optimize(
                    task, found, metric=metric or field_match, optimizer=optimizer, options=options or {}
                )
                self.predictors[key] = predictor
                reports.append(NodeReport(key, len(found), demos=len(predictor.demos)))
        return OptimizationReport(tuple(reports), optimization.usage)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what has been optimised to a JSON file, which replaces one of that name as a whole."""
        data = {
            "format": FORMAT,
            "version": VERSION,
            "graph": self.graph.name,
            "tasks": {key: task.describe() for key, task in self.tasks.items()},
            "predictors": {key: predictor.dump() for key, predictor in self.predictors.items()},
        }
        target = Path(path)
        beside = target.with_name(f"{target.name}.{os.getpid()}.new")
        try:
            beside.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str], graph: Graph, *, lm: Any = None) -> CompiledGraph:
        """Read what `save` wrote for this graph, in any process.

        Raises `FileNotFoundError`, `ValueError` for a file that `save` did not write, and `GraphError`, which
        names what differs, for one of another graph.
        """
        data = _read(Path(path))
        compiled = cls(graph, lm=lm)
        differences = list(_differences(data, compiled))
        if differences:
            raise GraphError(differences, subject=f"{path}, saved for another graph than {graph.name},")
        try:
            for key, predictor in data["predictors"].items():
                compiled.predictors[key] = Predictor.load(compiled.tasks[key], predictor)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        return compiled

    def _lm_or_given(self, lm: Any) -> Any:
        found = self._lm if lm is None else lm
        dspy = load_dspy("optimize")
        if not isinstance(found, (BaseLM, dspy.BaseLM)):
            raise TypeError(f"optimize takes a BaseLM or a DSPy language model as lm=, not {found!r}")
        return found

    def _model(self, lm: Any) -> BaseLM:
        found = self._lm if lm is None else lm
        if not isinstance(found, BaseLM):
            raise TypeError(
                f"a compiled graph runs with a BaseLM as lm=, not {found!r}; wrap a DSPy model in DSPyBackend"
            )
        return found


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no compiled graph at {path}; CompiledGraph.save writes one") from None
    except ValueError as error:
        raise ValueError(f"{path} is no compiled graph: it is not JSON ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"{path} is no compiled graph: CompiledGraph.save did not write it")
    if data.get("version") != VERSION:
        raise ValueError(
            f"{path} has version {data.get('version')} of the format, and this dagflow reads version {VERSION}; "
            f"optimise the graph again, or use the dagflow that wrote it"
        )
    if not all(isinstance(data.get(part), dict) for part in ("tasks", "predictors")):
        raise ValueError(f"{path} is damaged: its tasks or its predictors are missing")
    return data


def _differences(data: Mapping[str, Any], compiled: CompiledGraph) -> Iterable[str]:
    """Say what differs between the graph of a file and the graph that is there."""
    if data.get("graph") != compiled.graph.name:
        yield f"it is for the graph {data.get('graph')}"
    saved = data["tasks"]
    for key in sorted(saved.keys() - compiled.tasks.keys()):
        yield f"it has {key}, which no model is asked for in this graph"
    for key, task in compiled.tasks.items():
        if key not in saved:
            yield f"it lacks {key}"
            continue
        now = json.loads(json.dumps(task.describe()))
        before = saved[key] if isinstance(saved[key], dict) else {}
        if before.get("inputs") != now["inputs"]:
            yield f"it has other inputs for {key}: {_shown(before.get('inputs'))}, now {_shown(now['inputs'])}"
        if before.get("schema") != now["schema"]:
            yield f"it has another answer for {key}: {_fields(before.get('schema'))}, now {_fields(now['schema'])}"


def _shown(names: Any) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) and names else "none"


def _fields(schema: Any) -> str:
    """The fields of an answer and their types, in short."""
    properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
    return json.dumps(properties, ensure_ascii=False)[:300]
