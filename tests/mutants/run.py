"""Break each promise with a one-line change to a copy of the library, and check that the tests notice.

`python tests/mutants/run.py [--short] [NAME ...]`; `nox -s mutants` runs all of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 40  # seconds; a broken promise may well hang


@attrs.frozen
class Mutant:
    """A promise, the line that keeps it, what to write instead, and the tests that must notice."""

    promise: str
    module: str
    line: str
    broken: str
    tests: str


MUTANTS = {
    "concurrent": Mutant(
        "independent dependencies run at once",
        "kernel/workers.py",
        "if queue and not self._standby:",
        "if False:",
        "tests/kernel/test_resolve_alone.py -k independent",
    ),
    "order": Mutant(
        "a dependency is over before what reads it begins",
        "kernel/resolve.py",
        "if not missing[fn]:",
        "if missing[fn] < 2:",
        "tests/kernel/test_orders.py",
    ),
    "fail-fast": Mutant(
        "the first failure cancels its siblings",
        "kernel/resolve.py",
        "                self._scope.cancel()",
        "                pass",
        "tests/kernel/test_resolve_alone.py -k cancelled_sibling",
    ),
    "failures": Mutant(
        "every failure is kept",
        "kernel/resolve.py",
        "self._failures.append(Failure(error, self._node, call.place, call.fn))\n            elif",
        "self._failures[:] = [Failure(error, self._node, call.place, call.fn)]\n            elif",
        "tests/kernel/test_resolve_alone.py -k failures",
    ),
    "never-wrapped": Mutant(
        "KeyboardInterrupt is never wrapped",
        "kernel/resolve.py",
        "if isinstance(error, (Exception, anyio.get_cancelled_exc_class())):",
        "if isinstance(error, BaseException):",
        "tests/kernel/test_resolve_alone.py -k base_exceptions",
    ),
    "isolation": Mutant(
        "context variables are isolated",
        "kernel/resolve.py",
        "suspended = context.run(coroutine.send, None)",
        "suspended = coroutine.send(None)",
        "tests/kernel/test_resolve_alone.py -k isolated",
    ),
    "single-flight": Mutant(
        "a dependency is called once, also when asked for at the same moment",
        "kernel/resolve.py",
        "            if fn in flights:\n",
        "            if False:\n",
        "tests/kernel/test_single_flight.py",
    ),
    "last-waiter": Mutant(
        "a shared call is cancelled with its last waiter",
        "kernel/flight.py",
        "if self._waiters == 1 and self._scope is not None:",
        "if False:",
        "tests/kernel/test_single_flight.py",
    ),
    "reverse-order": Mutant(
        "resources are closed in reverse order",
        "kernel/resources.py",
        "reversed(self._holds)",
        "list(self._holds)",
        "tests/kernel/test_resolve_alone.py -k reverse",
    ),
    "resource-shield": Mutant(
        "a cancellation closes resources one by one",
        "kernel/resources.py",
        "self.scope = anyio.CancelScope(shield=True)",
        "self.scope = anyio.CancelScope()",
        "tests/kernel/test_resolve_alone.py -k cancellation_closes",
    ),
    "swallowed": Mutant(
        "what a body returns after it was cancelled does not count",
        "kernel/engine.py",
        "if self._group.cancel_scope.cancel_called:",
        "if False:",
        "tests/graph/test_graph_run.py -k swallows",
    ),
    "step-limit": Mutant(
        "a run starts no more nodes than max_steps",
        "kernel/engine.py",
        "self._steps > self._max_steps",
        "self._steps > self._max_steps + 1",
        "tests/graph/test_graph_run.py -k step_limit",
    ),
    "stream": Mutant(
        "leaving a stream ends its run",
        "kernel/stream.py",
        "        self._group.cancel_scope.cancel()\n",
        "        pass\n",
        "tests/graph/test_stream.py -k stops",
    ),
    "backpressure": Mutant(
        "a run waits for its consumer",
        "kernel/journal.py",
        "            self._journal.congested = True",
        "            pass",
        "tests/kernel/test_journal.py",
    ),
    "replay": Mutant(
        "a late follower misses nothing",
        "kernel/journal.py",
        "if after is None else after\n",
        "if after is None else after + (after > 0)\n",
        "tests/kernel/test_journal.py",
    ),
    "lent-permit": Mutant(
        "a permit is lent while its holder waits",
        "kernel/limits.py",
        "        self._waiting += 1\n        self._give_back()\n",
        "        self._waiting += 1\n",
        "tests/graph/test_graph_run.py tests/kernel/test_limits.py -k 'nested or lent'",
    ),
    "recall": Mutant(
        "recall takes the newest value",
        "graph/typed_run.py",
        "self.state.trace[::-1]",
        "self.state.trace",
        "tests/graph/test_graph_run.py -k recall",
    ),
    "strict": Mutant(
        "nothing is coerced in an answer",
        "core/scalars.py",
        "if type(value) is not kind:",
        "if not isinstance(value, (kind, str)):",
        "tests/lm/test_structure.py tests/lm/test_answers.py",
    ),
    "process-group": Mutant(
        "the whole process group is ended",
        "kernel/session.py",
        "    with suppress(ProcessLookupError, PermissionError):\n        os.killpg(session, number)",
        "    with suppress(ProcessLookupError, PermissionError):\n        os.kill(session, number)",
        "tests/process",
    ),
    "retry-where-right": Mutant(
        "only 408, 429 and 5xx are asked again",
        "lm/provider.py",
        "return reply.status in (408, 429) or reply.status >= 500",
        "return reply.status >= 400",
        "tests/lm/test_http_errors.py -k status_is_told",
    ),
    "retry-after": Mutant(
        "a provider's Retry-After is waited for",
        "kernel/retry.py",
        "        wait = max(wait, asked)",
        "        pass",
        "tests/lm/test_http_errors.py -k 'retry_after_is or deadline_before'",
    ),
    "retry-deadline": Mutant(
        "no wait passes the deadline",
        "kernel/retry.py",
        "if wait >= left:",
        "if False:",
        "tests/lm/test_http_errors.py -k deadline_before",
    ),
    "cut-stream": Mutant(
        "a stream that broke off is no answer",
        "lm/provider.py",
        "if not decoder.ended:",
        "if False:",
        "tests/lm/test_http_errors.py -k ends_early",
    ),
    "length": Mutant(
        "an answer that was cut off is never taken",
        "lm/base.py",
        'if response.finish_reason == "length":',
        "if False:",
        "tests/lm/test_malformed.py -k length",
    ),
    "secret-mask": Mutant(
        "a key that a provider quotes is masked",
        "lm/provider.py",
        "said = mask(said, self.secrets)",
        "pass",
        "tests/lm/test_canary.py -k 'fails and OpenAIBackend'",
    ),
    "secret-request": Mutant(
        "an exception does not keep the key",
        "lm/http.py",
        "request.headers.pop(name, None)",
        "pass",
        "tests/lm/test_canary.py -k headers",
    ),
    "sockets": Mutant(
        "connections are closed with their run",
        "lm/http.py",
        "            await client.aclose()\n\n\n@functools.cache\ndef tls_context",
        "            pass\n\n\n@functools.cache\ndef tls_context",
        "tests/lm/test_http_errors.py -k connections_live",
    ),
    "losses": Mutant(
        "what was used for nothing is counted",
        "lm/billing.py",
        "            collecting.add(bill.usage)",
        "            pass",
        "tests/lm/test_billing.py",
    ),
    "tool-turns": Mutant(
        "turns of tools are bounded",
        "lm/tool_loop.py",
        "if turns == max_turns:",
        "if False:",
        "tests/lm/test_tools.py -k bounded",
    ),
    "hedge-loser": Mutant(
        "the loser of a race is cancelled",
        "lm/wrappers/hedge.py",
        "            group.cancel_scope.cancel()",
        "            pass",
        "tests/lm/test_wrappers_on_the_wire.py -k loser",
    ),
    "budget": Mutant(
        "a budget counts what is under way",
        "lm/wrappers/budget.py",
        "reserved = sum(permit.tokens for permit in self._permits)",
        "reserved = 0",
        "tests/lm/test_wrappers_budgeted.py",
    ),
    "commit-first": Mutant(
        "nothing follows from an activation before it is recorded",
        "kernel/log.py",
        'if self.durability == "sync" or (',
        "if (",
        "tests/durable/test_durability.py -k sync_writes",
    ),
    "run-once": Mutant(
        "what is recorded as complete is not run again",
        "core/replay.py",
        "for event in recorded.succeeded:",
        "for event in recorded.succeeded[:-1]:",
        "tests/durable/test_resume.py -k failure",
    ),
    "checksum": Mutant(
        "a damaged record is told, and never read as something else",
        "core/records.py",
        "if _checksum(text) != checksum:",
        "if False:",
        "tests/durable/test_torn_records.py",
    ),
    "seen-late": Mutant(
        "an event is seen once it is in the store",
        "kernel/journal.py",
        "return self._written if self._writer is not None and self._writer.is_awaited else len(self.events)",
        "return len(self.events)",
        "tests/durable/test_durable_streams.py -k once_it_is_in_the_store",
    ),
    "recorded-dependency": Mutant(
        "a recorded dependency is not called again",
        "kernel/recorded.py",
        "memory[fn] = self._recorder.read_dependency(call, event.value)",
        "pass",
        "tests/durable/test_typed_dependencies.py",
    ),
    "changed-graph": Mutant(
        "a journal does not go on with another graph unnoticed",
        "kernel/run.py",
        "if not durable.accept_changes:",
        "if False:",
        "tests/durable/test_graph_changed.py",
    ),
    "wrong-answer": Mutant(
        "a question that is not open takes no answer",
        "kernel/durable.py",
        "unknown = [name for name in answers if name not in recording.open]",
        "unknown: list[str] = []",
        "tests/durable/test_typed_gate_answers.py",
    ),
    "lease-lost": Mutant(
        "a run that has lost its lease ends",
        "kernel/log.py",
        "                self._fail(error)\n                return",
        "                continue",
        "tests/durable/test_durability.py -k lease_is_lost",
    ),
    "in-transaction": Mutant(
        "an append to SQLite is there as a whole or not at all",
        "store/sqlite/writing.py",
        "    with connection:\n        connection.execute(BEGIN)\n        number = write_thread(",
        "    if True:\n        number = write_thread(",
        "tests/store/test_sqlite_store_crash.py",
    ),
    "unlinked-lock": Mutant(
        "nobody locks a file that was removed",
        "store/sqlite/locks.py",
        "                if is_at(path, descriptor):",
        "                if True:",
        "tests/store/test_sqlite_store.py tests/store/test_sqlite_store_crash.py",
    ),
    "edge-order": Mutant(
        "the first edge whose condition holds is taken",
        "declarative/edges.py",
        "for edge in self.conditional:\n            try:",
        "for edge in reversed(self.conditional):\n            try:",
        "tests/declarative/graphs/test_edges.py -k first_condition",
    ),
    "edge-default": Mutant(
        "an edge without a condition is taken where no other is",
        "declarative/edges.py",
        "            return self.otherwise\n",
        "            return ()\n",
        "tests/declarative/graphs/test_edges.py -k default",
    ),
    "edge-none": Mutant(
        "a node that no edge follows fails, and does not end its branch",
        "declarative/edges.py",
        '        raise NodeError(\n            f"no edge of node',
        '        return ()\n        raise NodeError(\n            f"no edge of node',
        "tests/declarative/graphs/test_edges.py -k no_edge",
    ),
    "edge-reducer": Mutant(
        "an edge sees what its node wrote, folded",
        "declarative/node.py",
        "return self.schema.fold(scope.state, writes)",
        "return {**scope.state, **writes}",
        "tests/declarative/graphs/test_edges.py -k reducers_fold",
    ),
    "loop-limit": Mutant(
        "a node of a loop runs no more often than its limit",
        "declarative/edges.py",
        "turn < limit.limit",
        "turn <= limit.limit",
        "tests/declarative/graphs/test_edges.py -k loop_limit",
    ),
    "loop-exit": Mutant(
        "a loop that reached its limit leaves by its exit",
        "declarative/edges.py",
        "return tuple(dict.fromkeys([*(target for target in targets if target not in limit.back), *limit.exit]))\n",
        "return ()\n",
        "tests/declarative/graphs/test_edges.py -k way_out",
    ),
    "join-each": Mutant(
        "a node with `join: each` starts for each arrival",
        "declarative/compiling/graph.py",
        'join="all" if name == START_NAME else loaded.spec.nodes[name].join,',
        'join="all",',
        "tests/declarative/graphs/test_edges.py -k join_each",
    ),
    "map-journal": Mutant(
        "an item of a map that is recorded is not run again",
        "kernel/run.py",
        "                self._find_recorded(self.durable, parent)",
        "                pass",
        "tests/declarative/graphs/test_maps.py -k missing",
    ),
    "map-place": Mutant(
        "equal items of a map are told apart",
        "declarative/bodies/nesting.py",
        'f"{call.activation.node}[{index}]"',
        "call.activation.node",
        "tests/declarative/graphs/test_maps.py -k 'equal or every_item or ask'",
    ),
    "map-order": Mutant(
        "a map collects in the order of its items",
        "declarative/bodies/nesting.py",
        "limit=self.limit)",
        "limit=self.limit, ordered=False)",
        "tests/declarative/graphs/test_maps.py -k order_of_the_items",
    ),
    "race-losers": Mutant(
        "the losers of a race are cancelled",
        "declarative/bodies/nesting.py",
        "                group.cancel_scope.cancel()",
        "                pass",
        "tests/declarative/graphs/test_maps.py -k first_success",
    ),
    "recovered": Mutant(
        "a failure that something stands in for is in the journal",
        "kernel/engine.py",
        "        context.record(NodeRecovered, attempt=attempt, error=describe(error))",
        "        pass",
        "tests/declarative/graphs/test_functions.py -k stands_in",
    ),
    "resume-key": Mutant(
        "a question is answered by its resume key",
        "declarative/answering.py",
        "if asked.field == key]",
        "if False]",
        "tests/declarative/graphs/test_interrupts.py -k goes_on_with",
    ),
    "merged-state": Mutant(
        "other state keys are written with an answer",
        "declarative/answering.py",
        "    answers[own[0]] = Answered(answers[own[0]], values)",
        "    pass",
        "tests/declarative/graphs/test_interrupts.py -k merged",
    ),
    "merged-journal": Mutant(
        "state that came with an answer is recorded with it",
        "declarative/recording.py",
        'return value, {ANSWER: data, MERGED: self._schema.write(given.state, "the answer")}',
        "return value, data",
        "tests/durable/test_golden_journals.py -k yaml",
    ),
    "hosted-collected": Mutant(
        "a stream that is dropped ends its run",
        "declarative/hosting.py",
        "                self._tell()\n",
        "                pass\n",
        "tests/declarative/graphs/test_streams.py -k dropped",
    ),
    "hosted-closed": Mutant(
        "closing a stream waits until nothing of its run is left",
        "declarative/hosting.py",
        "            await host.done.wait()",
        "            await anyio.lowlevel.checkpoint()",
        "tests/declarative/graphs/test_streams.py -k 'closed or exception'",
    ),
    "hosted-cancelled": Mutant(
        "a consumer that is cancelled ends the run of its stream",
        "declarative/hosting.py",
        "        except BaseException:\n            await self.aclose()",
        "        except Exception:\n            await self.aclose()",
        "tests/declarative/graphs/test_streams.py -k 'cancelling or cancelled_consumer'",
    ),
    "breath": Mutant(
        "nodes that never suspend leave the event loop its turn, and can be cancelled",
        "kernel/workers.py",
        "                await checkpoint()",
        "                pass",
        "tests/kernel/test_engine.py -k never_suspend",
    ),
    "fields-only": Mutant(
        "an expression reads fields, and neither methods nor other attributes",
        "declarative/expressions/paths.py",
        "return MISSING if name is None else getattr(value, name, MISSING)",
        "return getattr(value, str(key), MISSING)",
        "tests/declarative/expressions/test_hostile.py tests/declarative/expressions/test_expression_faults.py",
    ),
    "prompt-once": Mutant(
        "what was put into a prompt is not looked at again",
        "declarative/prompts/text.py",
        "    return system, user\n\n\ndef write_values",
        '    for name in written:\n        user = user.replace("{" + name + "}", written[name]) if name else user\n'
        "    return system, user\n\n\ndef write_values",
        "tests/declarative/prompts/test_hostile_templates.py -k as_it_is",
    ),
    "confined": Mutant(
        "no path leads out of the project, and nothing is told of what is there",
        "declarative/project.py",
        "    if not Path(os.path.normpath(written)).is_relative_to(root):",
        "    if False:",
        "tests/declarative/prompts/test_project.py -k 'outside or hostile'",
    ),
    "confined-links": Mutant(
        "no symlink leads out of the project",
        "declarative/project.py",
        "        if not found.is_relative_to(root):",
        "        if False:",
        "tests/declarative/prompts/test_project.py -k hostile",
    ),
    "one-argument": Mutant(
        "a value stays one argument of a command",
        "declarative/shell/command.py",
        "arguments=tuple(self._argument(place, template, scope) for place, template in enumerate(self.arguments)),",
        "arguments=tuple(part for place, template in enumerate(self.arguments)"
        " for part in self._argument(place, template, scope).split()),",
        "tests/declarative/shell/test_shell_command.py -k split_before",
    ),
    "unset-variable": Mutant(
        "an environment variable that is not set never stands for nothing",
        "declarative/checkpointers.py",
        '        raise ValueError(f"the environment has no value',
        '        return VARIABLE.sub("", text)\n        raise ValueError(f"the environment has no value',
        "tests/examples/test_triage.py -k variable",
    ),
    "run-slots": Mutant(
        "a server has no more runs at once than slots",
        "web/slots.py",
        "if len(self._taken) >= self.limit:",
        "if len(self._taken) > self.limit:",
        "tests/web/test_slots.py -k no_more",
    ),
    "hang-up": Mutant(
        "a client that hangs up ends its run",
        "web/connected.py",
        "            pass\n    scope.cancel()",
        "            pass",
        "tests/web/test_streaming.py -k ends_with_its_client",
    ),
}

SHORT = (
    "fail-fast",
    "single-flight",
    "stream",
    "swallowed",
    "cut-stream",
    "secret-request",
    "commit-first",
    "run-once",
    "checksum",
    "loop-limit",
    "map-journal",
    "hosted-cancelled",
    "hang-up",
)


def is_caught(mutant: Mutant) -> bool:
    """Run the mutant's tests against a broken copy of the library; hanging counts as noticing."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "src")
        shutil.copytree(ROOT / "src", source)
        module = source / "dagflow" / mutant.module
        text = module.read_text()
        if text.count(mutant.line) != 1:
            raise SystemExit(f"{mutant.promise}: the line to break is not (once) in {mutant.module}: {mutant.line!r}")
        module.write_text(text.replace(mutant.line, mutant.broken))
        command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {mutant.tests}"
        environment = {**os.environ, "PYTHONPATH": str(source)}
        try:
            ended = subprocess.run(
                command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return True
        if ended.returncode not in (0, 1):
            raise SystemExit(f"{mutant.promise}: the tests did not run:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
        return ended.returncode == 1


def main() -> int:
    """Run the mutants that are asked for, and say which of them live."""
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or list(MUTANTS)
    if "--short" in sys.argv:
        names = list(SHORT)
    alive = []
    for name in names:
        caught = is_caught(MUTANTS[name])
        print(f"{'caught' if caught else 'ALIVE '}  {name}: {MUTANTS[name].promise}", flush=True)
        if not caught:
            alive.append(name)
    print(f"{len(names) - len(alive)} passed, {len(alive)} failed")
    return 1 if alive else 0


if __name__ == "__main__":
    raise SystemExit(main())
