"""The live tree on a terminal: what runs, what it waits for, and for how long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal

import attrs
from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from dagflow.cli.spoken import Speakers
from dagflow.events import (
    DependencyCancelled,
    DependencyFailed,
    DependencyStarted,
    DependencySucceeded,
    Event,
    LMCalled,
    NodeCancelled,
    NodeFailed,
    NodeInterrupted,
    NodeRetried,
    NodeStarted,
    NodeSucceeded,
    Progress,
    RunStarted,
    Token,
)
from dagflow.report.timeline import human_duration

__all__ = ["LiveTree"]

Status = Literal["running", "succeeded", "failed", "cancelled", "waiting"]
MARKS: Final = {
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("⊘", "yellow"),
    "waiting": ("?", "magenta"),
}
ENDS: Final[dict[type[Event], Status]] = {
    NodeSucceeded: "succeeded",
    NodeFailed: "failed",
    NodeCancelled: "cancelled",
    NodeInterrupted: "waiting",
    DependencySucceeded: "succeeded",
    DependencyFailed: "failed",
    DependencyCancelled: "cancelled",
}
SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_A_SECOND: Final = 10
LINES_A_FRAME: Final = 20
"""How many lines of tasks are written between two drawings: drawing costs far more than printing does."""
CHILDREN_SHOWN: Final = 12
"""Of more, the last ones are drawn: a terminal has no room for thousands, and drawing them takes time."""


@attrs.define(eq=False)
class Row:
    """One thing that runs or ran; `began` and `took` are in seconds, on the monotonic clock.

    `streamed` is how many characters have come of the answers that it waits for.
    """

    name: str
    began: float
    took: float = 0.0
    status: Status = "running"
    note: str = ""
    streamed: int = 0
    children: list[Row] = attrs.field(factory=list)

    def end(self, status: Status, took: float) -> None:
        self.status, self.took = status, took

    def begin_again(self) -> None:
        """Run once more, after an interruption or a crash; what was under way then is begun anew too."""
        self.status, self.began, self.note = "running", time.monotonic(), ""
        self.children = [child for child in self.children if child.status != "running"]

    @property
    def lines(self) -> int:
        """How many lines the row and those below it take."""
        return 1 + (self.hidden > 0) + sum(child.lines for child in self.children[-CHILDREN_SHOWN:])

    @property
    def hidden(self) -> int:
        """How many of the rows below it are not drawn."""
        return max(0, len(self.children) - CHILDREN_SHOWN)

    def text(self, now: float) -> Text:
        """The line of the row; names and notes are the user's, and are not read as markup."""
        frame = SPINNER[int(now * FRAMES_A_SECOND) % len(SPINNER)]
        mark, style = MARKS.get(self.status, (frame, "cyan"))
        took = self.took if self.status != "running" else now - self.began
        line = Text.assemble((mark, style), " ", (self.name, "bold" if self.status == "running" else ""))
        line.append(f"  {human_duration(took)}", "dim")
        if self.note:
            line.append(f"  {self.note}", "italic")
        return line


class LiveTree:
    """Draws nodes as a tree with their dependencies, model calls and nested runs, as they happen.

    What tasks print, log and yield is written above it, the beginning of each line; of more than can be drawn, it is
    said how many lines were left out. The tree is wiped when the display closes: the timeline takes its place. Rich
    draws it in a thread of its own, which ends with the display. `clock` gives seconds.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._top: list[Row] = []
        self._rows: dict[tuple[str, str], Row] = {}
        self._owners: dict[str, Row] = {}
        self._speakers = Speakers()
        self._frame = self._written = self._left_out = 0
        self._console = console
        self._clock = clock
        self._live = Live(
            get_renderable=self.draw,
            console=self._console,
            refresh_per_second=FRAMES_A_SECOND,
            transient=True,
            # What the user's code prints must not end up in the tree, nor in another stream than it was meant for.
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> LiveTree:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell_left_out()
        self._live.stop()

    def say(self, text: str) -> None:
        """Write a line above the tree."""
        self._console.print(Text(text))

    def show(self, event: Event) -> None:
        """Take an event in; the tree is drawn anew by the clock."""
        line = self._speakers.line(event)
        if line is not None:
            self._speak(line)
            return
        match event:
            case RunStarted(parent=parent, run=run):
                outer = self._rows.get((run.rpartition(f"/{parent}/")[0], parent))
                if outer is not None:
                    self._owners[run] = outer
            case NodeStarted(activation=name, attempt=attempt):
                known = self._row(event.run, name)
                if known is None:
                    self._add(event.run, name, name, self._owners.get(event.run))
                elif attempt == 1:
                    known.begin_again()
            case DependencyStarted(dependency=key, name=name, activation=activation):
                self._add(event.run, f"dependency:{key}", name, self._rows.get((event.run, activation)))
            case LMCalled(activation=activation, model=model, purpose=purpose, duration=duration, answered=answered):
                waiting = self._row(event.run, activation)
                name = f"{model or 'language model'}: {purpose}"
                call = self._add(event.run, f"lm:{event.seq}", name, waiting)
                call.end("succeeded" if answered else "failed", duration)
                if waiting is not None and waiting.streamed:
                    waiting.streamed, waiting.note = 0, ""
            case Token(activation=activation, text=text):
                waiting = self._row(event.run, activation)
                if waiting is not None:
                    waiting.streamed += len(text)
                    waiting.note = f"{waiting.streamed} characters of an answer"
            case Progress(activation=activation, message=message, fraction=fraction):
                self._note(event.run, activation, message + (f" {fraction:.0%}" if fraction is not None else ""))
            case NodeRetried(activation=activation, error=error):
                self._note(event.run, activation, f"tries again: {error}")
            case _:
                self._end(event)

    def _speak(self, line: str) -> None:
        frame = int(self._clock() * FRAMES_A_SECOND)
        if frame != self._frame:
            self._tell_left_out()
            self._frame, self._written = frame, 0
        if self._written == LINES_A_FRAME:
            self._left_out += 1
            return
        self._written += 1
        self._console.print(Text(line), no_wrap=True, overflow="ellipsis")

    def _tell_left_out(self) -> None:
        if self._left_out:
            self.say(f"… {self._left_out} lines more, too many at once to be shown")
            self._left_out = 0

    def _end(self, event: Event) -> None:
        match event:
            case NodeSucceeded(activation=key, duration=took) | NodeFailed(activation=key, duration=took):
                pass
            case NodeCancelled(activation=key, duration=took) | NodeInterrupted(activation=key, duration=took):
                pass
            case DependencySucceeded(dependency=name, duration=took) | DependencyFailed(dependency=name, duration=took):
                key = f"dependency:{name}"
            case DependencyCancelled(dependency=name, duration=took):
                key = f"dependency:{name}"
            case _:
                return
        row = self._row(event.run, key)
        if row is not None:
            row.end(ENDS[type(event)], took)
            row.note = event.interrupts[0].question if isinstance(event, NodeInterrupted) else ""

    def _row(self, run: str, key: str) -> Row | None:
        return self._rows.get((run, key))

    def _add(self, run: str, key: str, name: str, parent: Row | None) -> Row:
        row = self._rows[run, key] = Row(name, time.monotonic())
        (self._top if parent is None else parent.children).append(row)
        return row

    def _note(self, run: str, key: str, note: str) -> None:
        row = self._row(run, key)
        if row is not None:
            row.note = note.splitlines()[0] if note else ""

    def draw(self) -> Tree:
        """Build the tree as it is now, no taller than the terminal: the newest nodes and what is below them."""
        now, room = time.monotonic(), self._console.height - 2
        shown: list[Row] = []
        for row in reversed(self._top):
            room -= row.lines
            if room < 0 and shown:
                break
            shown.append(row)
        hidden = len(self._top) - len(shown)
        tree = Tree(Text(f"… {hidden} before" if hidden else "running", "dim"), guide_style="dim")
        for row in reversed(shown):
            _grow(tree, row, now)
        return tree


def _grow(tree: Tree, row: Row, now: float) -> None:
    branch = tree.add(row.text(now))
    if row.hidden:
        branch.add(Text(f"… {row.hidden} before", "dim"))
    for child in row.children[-CHILDREN_SHOWN:]:
        _grow(branch, child, now)
