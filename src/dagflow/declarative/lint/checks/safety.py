"""DF6xx: programs and functions: what state may do to them, how long they may take, what their failures hide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice, pairwise
from typing import Final

from dagflow.core.answers import InvalidAnswer
from dagflow.declarative.compiling.faults import Place
from dagflow.declarative.compiling.state import keys_written
from dagflow.declarative.expressions import Template
from dagflow.declarative.lint.rule import Hit
from dagflow.declarative.lint.subject import LintSubject
from dagflow.declarative.lint.walk import ROOT, PlacedNode
from dagflow.declarative.model import (
    MapNode,
    NodeSpec,
    OnError,
    PythonNode,
    ShellNode,
    SQLiteCheckpointer,
    ToolNode,
)
from dagflow.declarative.shell import ShellCommand
from dagflow.declarative.shell.scripts import script_ends
from dagflow.source import parse_path

__all__ = [
    "absolute_paths",
    "default_timeout_misses",
    "llm_without_timeout",
    "map_at_default",
    "map_unbounded",
    "option_from_state",
    "retry_repeats",
    "script_from_state",
    "secrets",
    "shell_without_timeout",
    "skip_everywhere",
    "skipped_key_read",
]


# --- Programs


def _programs(subject: LintSubject) -> Iterator[tuple[PlacedNode, Sequence[Template]]]:
    """The shell nodes with their arguments, the program first; those that the compiler refuses are left out."""
    for node in subject.nodes:
        arguments = _arguments(node.spec)
        if arguments:
            yield node, arguments


def _arguments(spec: NodeSpec) -> Sequence[Template]:
    with suppress(InvalidAnswer):
        return ShellCommand.of(spec).arguments if isinstance(spec, ShellNode) else ()
    return ()


_SCRIPT_FIRST: Final = ("awk", "gawk", "mawk", "nawk", "sed", "gsed", "jq", "yq", "expr", "bc", "xq")
_SCRIPT_AFTER: Final = {
    "psql": ("-c", "--command"),
    "mysql": ("-e", "--execute"),
    "mariadb": ("-e", "--execute"),
    "sqlite3": (),
    "ssh": (),
    "su": ("-c", "--command"),
}
"""Programs that run a text as a script: the option before it; without one, it follows the first argument."""

_VALUES_AFTER: Final = {"-v": 1, "-F": 1, "-f": 1, "--arg": 2, "--argjson": 2, "-p": 1, "-i": 1, "-l": 1}


def script_from_state(subject: LintSubject) -> Iterator[Hit]:
    """A value becomes part of a script.

    Arguments are safe: a value is one argument, whatever is in it. A script is not: `awk`, `sed`, `jq`, `ssh`, `psql`
    and the like do what the value says. Pass the value beside the script (`awk -v`, `jq --arg`, `psql -v`), or in
    `env`. For `sh -c`, `python -c` and other interpreters this is a fault of the graph (DF004).
    """
    for node, arguments in _programs(subject):
        for script in _scripts(arguments):
            if not script.is_literal:
                reads = ", ".join(f"{{{expression.source}}}" for expression in script.expressions)
                yield Hit(
                    node.place / "command",
                    f"{reads} becomes part of a script of {arguments[0].source}, so that whoever writes the value says "
                    f"what it does; give it beside the script, or in `env`",
                )


def _scripts(arguments: Sequence[Template]) -> Iterator[Template]:
    """The arguments that a program runs as a script."""
    name, rest = arguments[0].source.rpartition("/")[2], arguments[1:]
    if name in _SCRIPT_FIRST and not any(argument.source in ("-f", "--file") for argument in rest):
        yield from islice(_without_options(rest), 1)
    options = _SCRIPT_AFTER.get(name, ())
    yield from (script for option, script in pairwise(rest) if option.source in options)
    if name in _SCRIPT_AFTER and not options:
        yield from islice(_without_options(rest), 1, None)


def _without_options(arguments: Sequence[Template]) -> Iterator[Template]:
    skipped = 0
    for argument in arguments:
        if skipped:
            skipped -= 1
        elif argument.source.startswith("-"):
            skipped = _VALUES_AFTER.get(argument.source, 0)
        else:
            yield argument


def option_from_state(subject: LintSubject) -> Iterator[Hit]:
    """A value may be taken for an option.

    A value that begins with `-` is an option to most programs, and so a run refuses it. Put `--` before it where the
    program knows that, or join it to its option (`--name={name}`).
    """
    for node, arguments in _programs(subject):
        ends = [place for place, argument in enumerate(arguments) if argument.source == "--"]
        for argument in arguments[1 : min([*ends, script_ends(arguments)])]:
            if not argument.is_literal and argument.source.startswith("{"):
                yield Hit(
                    node.place / "command",
                    f"a value of {argument.source} that begins with `-` is refused; put `--` before it",
                )
                break


# --- What the file should not hold

_SECRET_NAME: Final = re.compile(
    r"(^|[_\-.])(password|passwd|secret|token|api_?key|apikey|private_?key|access_?key|credentials?)$", re.IGNORECASE
)
# Every repetition has an end, so that no text takes long.
_SECRET_VALUE: Final = re.compile(
    r"\bsk-[A-Za-z0-9_-]{16}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30}|\bxox[abprs]-[A-Za-z0-9-]{10}"
    r"|\bAIza[0-9A-Za-z_-]{30}|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----|\beyJ[A-Za-z0-9_-]{20,400}\.[A-Za-z0-9_-]{10}"
)
_PASSWORD_IN_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^/@\s{}:]{0,200}:(?!\$\{)[^/@\s{}]{1,200}@")


def secrets(subject: LintSubject) -> Iterator[Hit]:
    """A text looks like a secret.

    Graph files are read and copied by many. Keep secrets in the environment.
    """
    for place, key, text in _texts(subject.document.data, ROOT, ""):
        named = _SECRET_NAME.search(key) is not None and len(text) >= 6 and not re.search(r"[\s{}]|^\$", text)
        if (named and not _is_type_of_key(place)) or _SECRET_VALUE.search(text) or _PASSWORD_IN_URL.search(text):
            yield Hit(
                place, "looks like a secret; keep it in the environment, and let the program or function read it there"
            )


def _is_type_of_key(place: Place) -> bool:
    """Whether a text says what type a key has, or which key: those are names and no values."""
    return place.startswith(("$.state.", "$.loop_exits.")) or place.endswith((".type", "_key"))


def _texts(data: object, place: Place, key: str) -> Iterator[tuple[Place, str, str]]:
    if isinstance(data, str):
        yield place, key, data
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from _texts(value, place / name, name)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _texts(value, place / index, key)


_ABSOLUTE: Final = re.compile(r"(--?[\w-]+=)?(/[\w.@+-]+){2,}/?")
_EVERYWHERE: Final = ("/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/usr/bin/env", "/bin/sh")


def absolute_paths(subject: LintSubject) -> Iterator[Hit]:
    """A path is absolute.

    It may be missing on another machine. Paths relative to the graph go with it.
    """
    for node, arguments in _programs(subject):
        for argument in arguments:
            if argument.is_literal and _ABSOLUTE.fullmatch(argument.source) and argument.source not in _EVERYWHERE:
                yield _absolute(node.place / "command", argument.source)
                break
    checkpointer = subject.spec.checkpointer
    if isinstance(checkpointer, SQLiteCheckpointer) and checkpointer.path.startswith("/"):
        yield _absolute(ROOT / "checkpointer" / "path", checkpointer.path)


def _absolute(place: Place, path: str) -> Hit:
    return Hit(place, f"{path} is absolute, and may be missing on another machine; write it relative to the graph")


# --- Time


def _is_bounded(subject: LintSubject, node: PlacedNode) -> bool:
    spec = subject.spec
    own = [node.spec, *node.around]
    return spec.timeout is not None or spec.defaults.timeout is not None or any(one.timeout is not None for one in own)


def shell_without_timeout(subject: LintSubject) -> Iterator[Hit]:
    """A program without a timeout.

    A program that hangs holds up the run for ever. Give the node, the `defaults` or the graph a `timeout`.
    """
    for node in subject.nodes:
        if isinstance(node.spec, ShellNode) and not _is_bounded(subject, node):
            yield Hit(
                node.place, "nothing ends a program that hangs; give the node, the `defaults` or the graph a timeout"
            )


def llm_without_timeout(subject: LintSubject) -> Iterator[Hit]:
    """A language model without a timeout.

    Only the adapter's own timeout ends a call. Give the node or the `defaults` a `timeout`.
    """
    for node in subject.nodes:
        if node.spec.type in ("llm", "router", "agent") and not _is_bounded(subject, node):
            yield Hit(
                node.place, "only the adapter's own timeout ends a call; give the node or the `defaults` a timeout"
            )


def default_timeout_misses(subject: LintSubject) -> Iterator[Hit]:
    """The default timeout is not for this function.

    A sync function runs in a thread, which cannot be stopped. Make it async, or run it in a process of its own.
    """
    if subject.spec.defaults.timeout is None:
        return
    for node in subject.nodes:
        spec, function = node.spec, subject.functions.get(node.place)
        if not isinstance(spec, (PythonNode, ToolNode)) or function is None or function.kind != "sync":
            continue
        offload = spec.offload if isinstance(spec, PythonNode) else None
        if offload in (None, "thread") and spec.timeout is None:
            yield Hit(
                node.place,
                f"the default timeout is not for {function.name}, a sync function: a thread cannot be stopped; make it "
                f"async" + (", or give it `offload: process`" if isinstance(spec, PythonNode) else ""),
            )


# --- Failures


def _handling(subject: LintSubject, spec: NodeSpec) -> OnError | str:
    return spec.on_error if spec.on_error is not None else subject.spec.defaults.on_error


def retry_repeats(subject: LintSubject) -> Iterator[Hit]:
    """A retry repeats effects.

    What a program or function had done before it failed, it does again. Make it safe to repeat.
    """
    for node in subject.nodes:
        handling = _handling(subject, node.spec)
        retries = handling.retry if isinstance(handling, OnError) else handling == "retry"
        if retries and node.spec.type in ("shell", "python", "tool"):
            yield Hit(
                node.place,
                "is run again after a failure, and may do twice what it had done; let it be safe to repeat "
                "(`dagflow.idempotency_key`), or leave out the retry",
            )


def skip_everywhere(subject: LintSubject) -> Iterator[Hit]:
    """All failures are skipped.

    A default of `skip` hides every failure: the run is complete, and its state has holes.
    """
    default = subject.spec.defaults.on_error
    if default == "skip" or (isinstance(default, OnError) and default.then == "skip"):
        yield Hit(
            ROOT / "defaults" / "on_error", "hides the failures of all nodes; say `skip` where nothing is lost by it"
        )


def skipped_key_read(subject: LintSubject) -> Iterator[Hit]:
    """A skipped node's key is read.

    After a skipped failure the key has no value, and its reader fails instead. Give the key a default.
    """
    for name, spec in subject.spec.nodes.items():
        handling = _handling(subject, spec)
        skips = handling.then == "skip" if isinstance(handling, OnError) else handling == "skip"
        for key in (keys_written(spec) or ()) if skips else ():
            reader = next((one for one in subject.readers_of(key) if not one.guarded and one.node != name), None)
            others = [writer for writer in subject.writers[key] if writer != name]
            if reader is not None and not others and not subject.has_default(key):
                yield Hit(
                    ROOT / "nodes" / name,
                    f"a failure is skipped, and then {reader.node} reads {key!r}, which has no value; give the key a "
                    f"default, or write default({key}, ...)",
                )


# --- Maps


_COSTLY: Final = ("llm", "router", "agent", "shell", "subgraph", "race")


def map_unbounded(subject: LintSubject) -> Iterator[Hit]:
    """A map without a bound.

    With `max_concurrency: null` all items are worked on at once, a thousand too.
    """
    for node in subject.nodes:
        spec = node.spec
        if isinstance(spec, MapNode) and spec.max_concurrency is None and spec.node.type in _COSTLY:
            yield Hit(
                node.place / "max_concurrency",
                f"all items are worked on at once, each a {spec.node.type} node; say how many may be",
            )


def map_at_default(subject: LintSubject) -> Iterator[Hit]:
    """A map of language models that says no bound.

    8 at once is the default. Say what the provider's rate limits allow.
    """
    for node in subject.nodes:
        spec = node.spec
        if not isinstance(spec, MapNode) or spec.node.type not in ("llm", "router", "agent"):
            continue
        if not subject.has(*map(str, parse_path(node.place)), "max_concurrency"):
            yield Hit(node.place, "8 items are worked on at once; say with `max_concurrency` what the provider allows")
